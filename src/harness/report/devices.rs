//! Those whose updates took longest, and what they did meanwhile. Sans-IO.

use super::markup::{Page, Words, words};
use crate::harness::metric::Unit;
use crate::harness::result::{DeviceStep, RunResult, SlowDevice, StepKind};

/// The most rows, and the most steps of one.
const ROWS_MAX: usize = 20;
const STEPS_MAX: usize = 16;

/// A row a device, to be opened for its steps.
pub(super) fn slowest(page: &mut Page, result: &RunResult) {
    page.raw("<section><h2>")
        .words(words("Slowest devices", "最慢的终端"))
        .raw("</h2>");
    if result.slowest.is_empty() {
        page.raw("<p class=\"note\">")
            .words(words("No device began an update.", "没有终端开始升级。"));
        page.raw("</p></section>");
        return;
    }
    page.raw("<p class=\"note\">").words(words(
        "From the first URI to the new version, or to the run's end. The bar is the whole run; open a row for its steps.",
        "从首次收到下载地址到运行新版本，或到运行结束。横条为整个运行过程；展开可见每一步。",
    ));
    page.raw("</p><ul class=\"legend\">");
    for (class, name) in [
        ("waits", words("waits", "等待")),
        ("downloading", words("downloading", "下载中")),
        ("downloaded", words("downloaded", "已下载")),
        ("updating", words("installing", "安装中")),
        ("updated", words("updated", "升级成功")),
        ("failed", words("failed", "失败")),
        ("off", words("without power", "断电")),
    ] {
        page.raw("<li><i class=\"")
            .raw(class)
            .raw("\"></i>")
            .words(name)
            .raw("</li>");
    }
    page.raw("</ul><div class=\"slow\">");
    for device in result.slowest.iter().take(ROWS_MAX) {
        row(page, result, device);
    }
    page.raw("</div></section>");
}

fn row(page: &mut Page, result: &RunResult, device: &SlowDevice) {
    page.raw("<details><summary><span class=\"name\"><code>")
        .text_of_at_most(&device.endpoint, 40);
    page.raw("</code> <small>")
        .words(words("cell ", "小区 "))
        .count(device.cell.into());
    page.raw(" · CE")
        .count(device.ce.into())
        .raw("</small></span>");
    bar(page, result, device);
    page.raw("<span class=\"number\">")
        .text(&Unit::Time.text(device.took_ms as f64 * 1e3));
    page.raw(if device.updated { " ✓" } else { " ✗" });
    page.raw("</span></summary><p class=\"note\">");
    page.both(
        &format!(
            "{} blocks, {} retransmissions",
            device.blocks, device.retransmitted
        ),
        &format!("{} 个分块，重传 {} 次", device.blocks, device.retransmitted),
    );
    page.raw("</p><ol class=\"steps\">");
    for (number, step) in device.steps.iter().take(STEPS_MAX).enumerate() {
        if number == 4 && device.steps_left_out > 0 {
            page.raw("<li class=\"note\">").both(
                &format!("… {} steps are not kept", device.steps_left_out),
                &format!("……有 {} 步未保留", device.steps_left_out),
            );
            page.raw("</li>");
        }
        page.raw("<li><time>")
            .text(&Unit::Time.text(step.at_ms as f64 * 1e3));
        page.raw("</time> ").words(name_of(step.step));
        if let Some(result) = step.result {
            page.words(words(", Update Result ", "，升级结果 "))
                .count(result.into());
        }
        page.raw("</li>");
    }
    page.raw("</ol></details>");
}

/// What it was at, from each step to the next.
fn bar(page: &mut Page, result: &RunResult, device: &SlowDevice) {
    page.raw("<svg viewBox=\"0 0 1000 1000\" preserveAspectRatio=\"none\" aria-hidden=\"true\">");
    let duration = result.duration_ms.max(1) as f64;
    let place = |at_ms: u64| at_ms as f64 / duration;
    let steps: Vec<&DeviceStep> = device.steps.iter().take(STEPS_MAX).collect();
    let ends = steps.iter().skip(1).map(|step| step.at_ms);
    let mut class = "waits";
    for (step, end) in steps.iter().zip(ends.chain([result.duration_ms])) {
        class = class_after(step.step, class);
        page.raw("<path class=\"").raw(class).raw("\" d=\"");
        page.field((place(step.at_ms), place(end)), (0.15, 0.85));
        page.raw("\"/>");
    }
    page.raw("</svg>");
}

fn class_after(step: StepKind, before: &'static str) -> &'static str {
    match step {
        StepKind::DownloadBegan | StepKind::DownloadResumed => "downloading",
        StepKind::Downloaded | StepKind::Deferred => "downloaded",
        StepKind::DownloadRestarted => "downloading",
        StepKind::ExecuteTaken | StepKind::InstallResumed | StepKind::Flashed => "updating",
        StepKind::Updated => "updated",
        StepKind::DownloadFailed
        | StepKind::UpdateFailed
        | StepKind::BootFailed
        | StepKind::RolledBack
        | StepKind::Bricked => "failed",
        StepKind::PowerCut | StepKind::SwitchedOff => "off",
        StepKind::Booted | StepKind::Registered if before == "off" => "waits",
        StepKind::Booted
        | StepKind::Registered
        | StepKind::RegistrationLost
        | StepKind::RebootTaken => before,
    }
}

const fn name_of(step: StepKind) -> Words {
    match step {
        StepKind::Booted => words("switched on", "开机"),
        StepKind::Registered => words("registered", "注册成功"),
        StepKind::RegistrationLost => words("lost its registration", "注册失效"),
        StepKind::DownloadBegan => words(
            "took the URI and began to download",
            "收到下载地址，开始下载",
        ),
        StepKind::DownloadResumed => words("goes on where it stopped", "断点续传"),
        StepKind::Downloaded => words("has the whole image", "固件下载完成"),
        StepKind::DownloadFailed => words("the download failed", "下载失败"),
        StepKind::ExecuteTaken => words("was told to install", "收到执行升级命令"),
        StepKind::Flashed => words("wrote the image", "写入固件"),
        StepKind::Updated => words("runs the new version", "运行新版本"),
        StepKind::Deferred => words("its user put the installation off", "用户推迟安装"),
        StepKind::UpdateFailed => words("the installation failed", "安装失败"),
        StepKind::DownloadRestarted => words("fetches from the start again", "从头重新下载"),
        StepKind::InstallResumed => words("goes on with the installation", "继续安装"),
        StepKind::BootFailed => words("the new version did not start", "新版本启动失败"),
        StepKind::RolledBack => words("went back to the old version", "回退到旧版本"),
        StepKind::Bricked => words("does not come back", "变砖，未恢复"),
        StepKind::SwitchedOff => words("was switched off for good", "永久关机"),
        StepKind::RebootTaken => words("was told to reboot", "收到重启命令"),
        StepKind::PowerCut => words("lost its power", "断电"),
    }
}
