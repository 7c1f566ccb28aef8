//! The offline commands as a user runs them.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::fixture::{OTHER_PUBLIC_PEM, PRIVATE_PEM, PUBLIC_PEM, firmware, inner, run, write};

fn narrowcast(folder: &Path, arguments: &[&str]) -> Output {
    narrowcast_in(folder, "C.UTF-8", arguments)
}

fn narrowcast_in(folder: &Path, language: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_narrowcast"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("LC_ALL")
        .env_remove("LC_MESSAGES")
        .env("LANG", language)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

fn exits(output: &Output, code: i32) {
    assert_eq!(
        output.status.code(),
        Some(code),
        "{}{}",
        stdout(output),
        stderr(output)
    );
}

/// A folder with the development keys and an image.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "private.pem", PRIVATE_PEM);
    write(folder.path(), "public.pem", PUBLIC_PEM);
    write(folder.path(), "FW.bin", firmware());
    folder
}

#[test]
fn a_new_pair_signs_and_verifies() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write(path, "phrase", "correct horse battery\n");
    write(path, "FW.bin", firmware());
    let keygen = [
        "keygen",
        "--out",
        "keys",
        "--passphrase-file",
        "phrase",
        "--json",
    ];
    let made = narrowcast(path, &keygen);
    exits(&made, 0);
    let private = path.join("keys/private.pem");
    assert_eq!(
        private.metadata().unwrap().permissions().mode() & 0o777,
        0o600
    );
    let open = [
        "pkey",
        "-in",
        "keys/private.pem",
        "-passin",
        "file:phrase",
        "-noout",
        "-check",
    ];
    run(path, "openssl", &open);

    let before = std::fs::read(&private).unwrap();
    let again = narrowcast(path, &keygen);
    exits(&again, 1);
    assert!(stderr(&again).contains("never overwritten"));
    assert_eq!(std::fs::read(&private).unwrap(), before);

    let key = ["--key", "keys/private.pem", "--passphrase-file", "phrase"];
    let signed = narrowcast(path, &[&["sign"], &key[..], &["FW.bin"]].concat());
    exits(&signed, 0);
    assert_eq!(stdout(&signed), "FW_signed.zip\n");
    let verify = [
        "verify",
        "--key",
        "keys/public.pem",
        "FW_signed.zip",
        "--json",
    ];
    let verified = narrowcast(path, &verify);
    exits(&verified, 0);
    assert_eq!(json(&verified)["verified"], true);
    assert_eq!(json(&verified)["key_id"], json(&made)["key_id"]);
    assert_eq!(json(&verified)["firmware"][0]["name"], "FW.bin");
    assert_eq!(json(&verified)["firmware"][0]["size"], firmware().len());
}

#[test]
fn a_pair_on_secp256k1_signs_the_same_bytes_again_and_openssl_verifies_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write(path, "phrase", "correct horse battery\n");
    write(path, "FW.bin", firmware());
    let keygen = ["keygen", "--out", "keys", "--passphrase-file", "phrase"];
    let algorithm = ["--algorithm", "ecdsa-secp256k1"];
    let with_bits = [&keygen[..], &algorithm, &["--bits", "2048"]].concat();
    exits(&narrowcast(path, &with_bits), 2);
    assert!(!path.join("keys").exists());
    let made = narrowcast(path, &[&keygen[..], &algorithm, &["--json"]].concat());
    exits(&made, 0);
    assert_eq!(json(&made)["algorithm"], "ECDSA_256K1");
    assert_eq!(json(&made)["bits"], 256);
    let key = ["--key", "keys/private.pem", "--passphrase-file", "phrase"];
    let mut signed = Vec::new();
    for out in ["one.zip", "two.zip"] {
        let sign = [&["sign"], &key[..], &["--out", out, "FW.bin"]].concat();
        exits(&narrowcast(path, &sign), 0);
        signed.push(std::fs::read(path.join(out)).unwrap());
    }
    assert_eq!(signed[0], signed[1]);
    let verify = ["verify", "--key", "keys/public.pem", "one.zip", "--json"];
    let verified = narrowcast(path, &verify);
    exits(&verified, 0);
    assert_eq!(json(&verified)["key_id"], json(&made)["key_id"]);
    run(path, "unzip", &["-q", "one.zip"]);
    let verify = ["dgst", "-sha256", "-verify", "keys/public.pem"];
    let files = ["-signature", "FW.zip.sig", "FW.zip"];
    let said = run(path, "openssl", &[&verify[..], &files].concat());
    assert_eq!(said, "Verified OK\n");
}

#[test]
fn signing_again_gives_the_same_bytes() {
    let folder = folder();
    let sign = |out: &str| {
        let arguments = ["sign", "--key", "private.pem", "--out", out, "FW.bin"];
        exits(&narrowcast(folder.path(), &arguments), 0);
        std::fs::read(folder.path().join(out)).unwrap()
    };
    assert_eq!(sign("1.zip"), sign("2.zip"));
}

#[test]
fn a_zip_is_signed_as_it_stands() {
    let folder = folder();
    write(folder.path(), "FW-1.0.zip", inner());
    let signed = narrowcast(
        folder.path(),
        &["sign", "--key", "private.pem", "FW-1.0.zip"],
    );
    exits(&signed, 0);
    run(
        folder.path(),
        "unzip",
        &["-q", "-o", "FW-1.0_signed.zip", "-d", "out"],
    );
    assert_eq!(
        std::fs::read(folder.path().join("out/FW-1.0.zip")).unwrap(),
        inner()
    );

    write(folder.path(), "info.json", "{}");
    let sign = [
        "sign",
        "--key",
        "private.pem",
        "--info",
        "info.json",
        "FW-1.0.zip",
    ];
    exits(&narrowcast(folder.path(), &sign), 2);
    let sign = ["sign", "--key", "private.pem", "FW-1.0_signed.zip"];
    let twice = narrowcast(folder.path(), &sign);
    exits(&twice, 1);
    assert!(stderr(&twice).contains("signed package already"));
}

#[test]
fn inputs_of_one_name_are_told_so_and_an_input_is_never_overwritten() {
    let folder = folder();
    for name in ["a", "b"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
        write(folder.path(), &format!("{name}/FW.bin"), "firmware");
    }
    let sign = ["sign", "--key", "private.pem", "a/FW.bin", "b/FW.bin"];
    let refused = narrowcast(folder.path(), &sign);
    exits(&refused, 1);
    let told = stderr(&refused);
    assert!(told.contains("\"FW.bin\" twice"), "{told}");

    write(folder.path(), "FW.zip", inner());
    let sign = [
        "sign",
        "--key",
        "private.pem",
        "--out",
        "FW.zip",
        "./a/../FW.zip",
    ];
    exits(&narrowcast(folder.path(), &sign), 2);
    assert_eq!(
        std::fs::read(folder.path().join("FW.zip")).unwrap(),
        inner()
    );
}

#[test]
fn a_statement_is_signed_with_the_image() {
    let folder = folder();
    let info = r#"{"format":1,"purpose":"firmware","manufacturer":"quectel","model":"BC25",
        "deviceType":"WaterMeter","version":"V2","sequence":2}"#;
    write(folder.path(), "info.json", info);
    let sign = [
        "sign",
        "--key",
        "private.pem",
        "--info",
        "info.json",
        "FW.bin",
    ];
    exits(&narrowcast(folder.path(), &sign), 0);
    let verify = ["verify", "--key", "public.pem", "FW_signed.zip", "--json"];
    let verified = json(&narrowcast(folder.path(), &verify));
    assert_eq!(verified["info"]["deviceType"], "WaterMeter");
    assert_eq!(verified["info"]["sequence"], 2);

    write(
        folder.path(),
        "info.json",
        info.replace("sequence", "sequel"),
    );
    let refused = narrowcast(folder.path(), &sign);
    exits(&refused, 1);
    assert!(stderr(&refused).contains("package-info.json: unknown field"));
}

#[test]
fn a_package_that_does_not_hold_is_refused_with_the_reason() {
    let folder = folder();
    exits(
        &narrowcast(folder.path(), &["sign", "--key", "private.pem", "FW.bin"]),
        0,
    );
    write(folder.path(), "other.pem", OTHER_PUBLIC_PEM);
    let verify = ["verify", "--key", "other.pem", "FW_signed.zip"];
    let refused = narrowcast(folder.path(), &verify);
    exits(&refused, 1);
    assert_eq!(stdout(&refused), "");
    assert!(stderr(&refused).contains("not among the manufacturer's keys"));

    let refused = narrowcast(folder.path(), &[&verify[..], &["--json"]].concat());
    exits(&refused, 1);
    assert_eq!(json(&refused)["verified"], false);
    assert_eq!(json(&refused)["code"], "package_unknown_key");

    let both = [&verify[..], &["--key", "public.pem"]].concat();
    exits(&narrowcast(folder.path(), &both), 0);

    let private = ["verify", "--key", "private.pem", "FW_signed.zip"];
    let refused = narrowcast(folder.path(), &private);
    exits(&refused, 1);
    let secret = PRIVATE_PEM.lines().nth(1).unwrap();
    assert!(stderr(&refused).contains("private key") && !stderr(&refused).contains(secret));
}

#[test]
fn messages_are_in_the_language_of_the_environment() {
    let folder = folder();
    exits(
        &narrowcast(folder.path(), &["sign", "--key", "private.pem", "FW.bin"]),
        0,
    );
    let verify = ["verify", "--key", "public.pem", "FW_signed.zip"];
    let chinese = narrowcast_in(folder.path(), "zh_CN.UTF-8", &verify);
    assert!(stdout(&chinese).starts_with("验证签名成功!\n"));
    let english = narrowcast(folder.path(), &verify);
    assert!(stdout(&english).starts_with("The signature holds.\n"));
    let broken = ["verify", "--key", "public.pem", "FW.bin"];
    let chinese = narrowcast_in(folder.path(), "zh_CN.UTF-8", &broken);
    exits(&chinese, 1);
    assert!(stderr(&chinese).starts_with("验签异常!"));
}

#[test]
fn wrong_usage_exits_with_2_and_a_failure_with_1() {
    let folder = folder();
    let path = folder.path();
    exits(&narrowcast(path, &[]), 2);
    exits(&narrowcast(path, &["no-such-command"]), 2);
    exits(&narrowcast(path, &["sign", "FW.bin"]), 2);
    exits(
        &narrowcast(path, &["keygen", "--out", "k", "--bits", "1024"]),
        2,
    );
    // No pass-phrase file, and no terminal to ask on.
    exits(&narrowcast(path, &["keygen", "--out", "k"]), 2);
    exits(
        &narrowcast(
            path,
            &["sign", "--key", "private.pem", "--out", "FW.bin", "FW.bin"],
        ),
        2,
    );
    exits(
        &narrowcast(path, &["sign", "--key", "missing.pem", "FW.bin"]),
        1,
    );
    exits(
        &narrowcast(path, &["sign", "--key", "public.pem", "FW.bin"]),
        1,
    );
    exits(
        &narrowcast(path, &["sign", "--key", "private.pem", "missing.bin"]),
        1,
    );
    write(path, "weak", "Quectel123");
    exits(
        &narrowcast(path, &["keygen", "--out", "k", "--passphrase-file", "weak"]),
        1,
    );
    assert!(!path.join("k").exists());
    exits(&narrowcast(path, &["--version"]), 0);
    exits(&narrowcast(path, &["sign", "--help"]), 0);

    write(path, "固件.bin", firmware());
    let named = narrowcast(path, &["sign", "--key", "private.pem", "固件.bin"]);
    exits(&named, 1);
    assert!(stderr(&named).contains("not an accepted name"));
}

#[test]
fn up_to_five_files_of_any_kind_of_firmware_make_one_package() {
    let folder = folder();
    let path = folder.path();
    let inputs = ["boot.bin", "app.S19", "res.tar.gz", "main.py", "more.zip"];
    for name in inputs {
        write(path, name, format!("content of {name}"));
    }
    let sign = |inputs: &[&str]| {
        let arguments = [&["sign", "--key", "private.pem"], inputs].concat();
        narrowcast(path, &arguments)
    };
    let signed = sign(&inputs);
    exits(&signed, 0);
    assert_eq!(stdout(&signed), "boot_signed.zip\n");
    let first = std::fs::read(path.join("boot_signed.zip")).unwrap();
    exits(&sign(&inputs), 0);
    let again = std::fs::read(path.join("boot_signed.zip")).unwrap();
    assert!(first == again, "the same bytes");
    let verify = ["verify", "--key", "public.pem", "boot_signed.zip", "--json"];
    let verified = narrowcast(path, &verify);
    exits(&verified, 0);
    let inspected = narrowcast(path, &["inspect", "boot_signed.zip", "--json"]);
    exits(&inspected, 0);
    for shown in [json(&verified), json(&inspected)] {
        let names: Vec<_> = shown["firmware"]
            .as_array()
            .unwrap()
            .iter()
            .map(|file| file["name"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(names, inputs);
    }
    run(path, "unzip", &["-q", "boot_signed.zip", "-d", "out"]);
    run(path, "unzip", &["-q", "out/boot.zip", "-d", "inner"]);
    let python = "import sys, zipfile; zip = zipfile.ZipFile(sys.argv[1]); zip.testzip(); \
                  print(zip.read('main.py').decode())";
    let read = run(path, "python3", &["-c", python, "out/boot.zip"]);
    assert_eq!(read.trim_end(), "content of main.py");
    for name in inputs {
        let unpacked = std::fs::read_to_string(path.join("inner").join(name)).unwrap();
        assert_eq!(unpacked, format!("content of {name}"));
    }

    let six = [&inputs[..], &["FW.bin"]].concat();
    let refused = sign(&six);
    exits(&refused, 1);
    assert!(stderr(&refused).contains("6 firmware files"));
    exits(&sign(&["boot.bin", "boot.bin"]), 1);
    write(path, "notes.txt", "no firmware");
    let refused = sign(&["notes.txt"]);
    exits(&refused, 1);
    assert!(stderr(&refused).contains(".bin .zip .rar"));
    let long = format!("{}.bin", "x".repeat(60));
    write(path, &long, "image");
    let refused = sign(&[&long]);
    exits(&refused, 1);
    assert!(stderr(&refused).contains("63 bytes"));
}

#[test]
fn a_zip_that_is_the_firmware_is_wrapped_where_that_is_asked_for() {
    let folder = folder();
    write(folder.path(), "FW.zip", "an image that is called a zip");
    let arguments = ["sign", "--key", "private.pem", "--wrap", "FW.zip", "--json"];
    let signed = narrowcast(folder.path(), &arguments);
    exits(&signed, 0);
    assert_eq!(json(&signed)["signed"], "FW_signed.zip");
    let shown = narrowcast(folder.path(), &["inspect", "FW_signed.zip", "--json"]);
    exits(&shown, 0);
    assert_eq!(json(&shown)["firmware"][0]["name"], "FW.zip");
}

/// The heap that a process may have is a third of the image.
#[test]
fn an_image_of_100_mib_is_signed_and_verified_in_little_memory() {
    let folder = folder();
    let path = folder.path();
    let mut image = vec![0; 100 << 20];
    for (at, chunk) in image.chunks_mut(8).enumerate() {
        chunk.copy_from_slice(&at.to_le_bytes());
    }
    write(path, "large.bin", image);
    let program = env!("CARGO_BIN_EXE_narrowcast");
    let limited = |arguments: &[&str]| {
        let all = [&["--data=33554432", program], arguments].concat();
        run(path, "prlimit", &all)
    };
    limited(&["sign", "--key", "private.pem", "large.bin"]);
    limited(&["verify", "--key", "public.pem", "large_signed.zip"]);
    limited(&["inspect", "large_signed.zip"]);
}
