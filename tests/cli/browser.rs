//! Pages as a browser shows them: Debian's chromium, without a window.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// The widest page.
pub(crate) const WIDE: u32 = 1280;

/// A telephone.
pub(crate) const NARROW: u32 = 400;

/// What a page looks like.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Charts and bars: width and height in CSS pixels, and how many lines or fields they have that
    /// cover more than a point.
    pub(crate) drawings: Vec<Drawing>,
    /// How much wider the content is than the window.
    pub(crate) overflow_px: i64,
    /// The text that is shown.
    pub(crate) text: String,
    /// The background of the page.
    pub(crate) background: String,
    /// What the page said of faults, and what it wanted to load and may not.
    pub(crate) console: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Drawing {
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) shapes: u64,
}

/// Reads a page's own document from outside: the page runs no script but its own.
const PROBE: &str = r#"
const frame = document.getElementById('page');
frame.onload = () => {
  const page = frame.contentDocument, root = page.documentElement;
  const drawings = [...page.querySelectorAll('svg')].map(svg => {
    const box = svg.getBoundingClientRect();
    const shapes = [...svg.querySelectorAll('path:not(.grid)')].filter(path => {
      const of = path.getBBox();
      const style = frame.contentWindow.getComputedStyle(path);
      const painted = style.fill !== 'none' || style.stroke !== 'none';
      return painted && (of.width > 0 || of.height > 0);
    });
    return [box.width, box.height, shapes.length];
  });
  const seen = {
    drawings,
    overflow: root.scrollWidth - frame.clientWidth,
    text: page.body.innerText,
    background: frame.contentWindow.getComputedStyle(page.body).backgroundColor,
  };
  const bytes = new TextEncoder().encode(JSON.stringify(seen));
  document.getElementById('seen').textContent = [...bytes].map(b => b.toString(16).padStart(2, '0')).join('');
};
"#;

/// Opens a page in a window so wide, in the system's dark colours or its light ones, for a reader of
/// this language.
pub(crate) fn open(page: &Path, width_px: u32, dark: bool, language: &str) -> Seen {
    let folder = tempfile::tempdir().unwrap();
    let html = fs::read_to_string(page).unwrap();
    let html = html.replace('&', "&amp;").replace('"', "&quot;");
    let outer = folder.path().join("outer.html");
    let document = format!(
        "<!doctype html><meta charset=utf-8><iframe id=page style=\"width:{width_px}px;height:6000px;border:0\" \
         srcdoc=\"{html}\"></iframe><pre id=seen></pre><script>{PROBE}</script>"
    );
    fs::write(&outer, document).unwrap();
    let mut command = Command::new("chromium");
    command
        .args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
        ])
        .args(["--enable-logging=stderr", "--virtual-time-budget=5000"])
        .arg(format!("--lang={language}"))
        .arg(format!("--accept-lang={language}"))
        .arg(format!("--window-size={},6200", WIDE + 40))
        .arg(format!(
            "--user-data-dir={}",
            folder.path().join("profile").display()
        ))
        .arg("--dump-dom")
        .arg(format!("file://{}", outer.display()));
    if dark {
        command.arg("--force-dark-mode");
    }
    let output = command
        .output()
        .expect("no chromium: tests/peers/install.sh puts it here");
    let (dom, messages) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    let found = dom
        .split("<pre id=\"seen\">")
        .nth(1)
        .and_then(|rest| rest.split('<').next());
    let bytes = hex::decode(found.unwrap_or_default()).unwrap();
    let seen: Value = serde_json::from_slice(&bytes)
        .unwrap_or_else(|error| panic!("{error}: nothing was seen: {messages}"));
    let drawings = seen["drawings"].as_array().unwrap().iter();
    let drawings = drawings.map(|drawing| Drawing {
        width: drawing[0].as_f64().unwrap(),
        height: drawing[1].as_f64().unwrap(),
        shapes: drawing[2].as_u64().unwrap(),
    });
    let console = messages.lines().filter(|line| line.contains("CONSOLE"));
    Seen {
        drawings: drawings.collect(),
        overflow_px: seen["overflow"].as_i64().unwrap(),
        text: seen["text"].as_str().unwrap().to_owned(),
        background: seen["background"].as_str().unwrap().to_owned(),
        console: console.map(str::to_owned).collect(),
    }
}
