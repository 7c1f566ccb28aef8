//! Zips that say two things, lie, or hold what no package holds.

use crate::fixture::{firmware, inner, signed};
use crate::zip_builder::{Item, Zip};

/// What it is, the zip, and words of its refusal.
type Case = (&'static str, Vec<u8>, &'static str);

pub(crate) fn bad_zips() -> Vec<Case> {
    [sizes(), names(), features(), structure(), content()].concat()
}

pub(crate) fn item() -> Item {
    Item::stored("FW.bin", &firmware())
}

fn with(change: impl FnOnce(&mut Item)) -> Vec<u8> {
    Zip::of([item().with(change)]).bytes()
}

fn with_local(change: impl FnOnce(&mut Item)) -> Vec<u8> {
    Zip::of([item().with_local(change)]).bytes()
}

fn zip_with(change: impl FnOnce(&mut Zip)) -> Vec<u8> {
    Zip::of([item()]).with(change).bytes()
}

fn twice(second: &str) -> Vec<u8> {
    Zip::of([item(), Item::stored(second, b"other")]).bytes()
}

fn many(count: usize) -> Vec<u8> {
    let items = (0..count).map(|number| Item::stored(&format!("{number}.bin"), b"x"));
    Zip::of(items).bytes()
}

/// Sizes, checksums and numbers of entries that lie, or are too large.
fn sizes() -> Vec<Case> {
    let zeros = vec![0; 64 << 20];
    let bomb = Item::deflated("FW.bin", &zeros);
    let lying_bomb = bomb.clone().with(|item| item.size = 1000);
    let one = Item::stored("FW.bin", b"x");
    let crowd = Zip::of(vec![one; 2000]).with(|zip| zip.count = Some(65_000));
    vec![
        (
            "a bomb of 64 MiB",
            Zip::of([bomb]).bytes(),
            "more than 200 times",
        ),
        (
            "a bomb that says 1000 bytes",
            Zip::of([lying_bomb]).bytes(),
            "is damaged",
        ),
        ("a size that is too small", with(|item| item.size -= 1), ""),
        ("a size that is too large", with(|item| item.size += 1), ""),
        (
            "a packed size that is too large",
            with(|item| item.packed_size += 9),
            "",
        ),
        (
            "a checksum of other bytes",
            with(|item| item.crc ^= 1),
            "is damaged",
        ),
        (
            "a firmware over the limit",
            with(|item| {
                item.size = 101 << 20;
                item.packed_size = 101 << 20;
            }),
            "",
        ),
        (
            "overlapping entries",
            Zip::of([item(), item().with(|it| it.name = b"2.bin".to_vec())])
                .with(|zip| zip.overlap = true)
                .bytes(),
            "without gaps",
        ),
        ("65,000 entries", crowd.bytes(), "entries"),
        ("2000 entries", many(2000), "2000 entries"),
        ("a count that lies", zip_with(|zip| zip.count = Some(2)), ""),
    ]
}

/// Names that could mean something else somewhere, and entries that are no files.
fn names() -> Vec<Case> {
    vec![
        (
            "a way up",
            with(|item| item.name = b"../evil.bin".to_vec()),
            "not an accepted name",
        ),
        (
            "an absolute path",
            with(|item| item.name = b"/evil.bin".to_vec()),
            "not an accepted name",
        ),
        (
            "a path of Windows",
            with(|item| item.name = b"..\\evil.bin".to_vec()),
            "not an accepted name",
        ),
        (
            "a zero in a name",
            with(|item| item.name = b"FW.bin\0.txt".to_vec()),
            "not an accepted name",
        ),
        (
            "a name that turns its direction",
            with(|item| {
                item.name = "FW\u{202e}nib.exe".as_bytes().to_vec();
            }),
            "not an accepted name",
        ),
        (
            "a name over 63 bytes",
            with(|item| {
                item.name = format!("{}.bin", "x".repeat(60)).into_bytes();
            }),
            "63 bytes",
        ),
        (
            "no kind of firmware",
            with(|item| item.name = b"FW.exe".to_vec()),
            "no firmware file",
        ),
        (
            "a symbolic link",
            with(|item| item.attributes = 0o120_777 << 16),
            "folder or a link",
        ),
        (
            "a folder",
            with(|item| item.name = b"folder/".to_vec()),
            "folder or a link",
        ),
    ]
}

/// Features that change how content is read, and headers that differ.
fn features() -> Vec<Case> {
    vec![
        ("encrypted", with(|item| item.flags = 1), "encrypted"),
        (
            "a data descriptor",
            with(|item| item.flags = 8),
            "data descriptor",
        ),
        ("unknown flags", with(|item| item.flags = 1 << 13), "flags"),
        (
            "an unknown method",
            with(|item| item.method = 12),
            "compression method",
        ),
        (
            "an unknown extra field",
            with(|item| {
                item.local_extra = vec![0x34, 0x12, 0, 0];
                item.central_extra = item.local_extra.clone();
            }),
            "extra field",
        ),
        ("zip64", with(|item| item.size = u32::MAX), "zip64"),
        ("a name twice", twice("FW.bin"), "twice"),
        ("a name twice but for its case", twice("fw.BIN"), "twice"),
        (
            "two names for one entry",
            with_local(|item| item.name = b"XX.bin".to_vec()),
            "headers",
        ),
        (
            "two sizes for one entry",
            with_local(|item| item.size += 1),
            "headers",
        ),
        (
            "two methods for one entry",
            with_local(|item| item.method = 8),
            "headers",
        ),
    ]
}

/// Bytes that belong to nothing, or to two things.
fn structure() -> Vec<Case> {
    let whole = inner();
    vec![
        (
            "cut short",
            whole[..whole.len() - 30].to_vec(),
            "zip directory",
        ),
        (
            "bytes behind it",
            zip_with(|zip| zip.trailing = b"more".to_vec()),
            "zip directory",
        ),
        (
            "bytes before it",
            zip_with(|zip| zip.prefix = b"#!/bin/sh\n".to_vec()),
            "without gaps",
        ),
        (
            "a gap",
            zip_with(|zip| zip.gap = vec![0; 7]),
            "without gaps",
        ),
        (
            "a comment",
            zip_with(|zip| zip.comment = b"comment".to_vec()),
            "zip directory",
        ),
        (
            "two ends",
            [whole.as_slice(), &whole[whole.len() - 22..]].concat(),
            "",
        ),
    ]
}

/// What no package holds.
fn content() -> Vec<Case> {
    let whole = inner();
    vec![
        ("no firmware", Zip::default().bytes(), "no firmware file"),
        (
            "an empty firmware",
            Zip::of([Item::stored("FW.bin", b"")]).bytes(),
            "is empty",
        ),
        ("six files", many(6), "6 firmware files"),
        (
            "a signed package within",
            signed(&whole),
            "signed package already",
        ),
        (
            "a statement that is none",
            Zip::of([item(), Item::stored("package-info.json", b"{}")]).bytes(),
            "package-info.json",
        ),
        (
            "no zip at all",
            b"no zip at all, and yet longer than an end record is".to_vec(),
            "zip",
        ),
    ]
}
