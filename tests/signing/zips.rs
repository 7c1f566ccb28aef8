//! Inner zips that must be refused though their signature holds, and those that must not.

use std::io::{Cursor, Write};

use narrowcast::signing::{
    FIRMWARE_EXTENSIONS, PackageLimits, Payload, PayloadError, VerifyError, ZipError, zip_firmware,
};
use proptest::prelude::*;
use zip::write::SimpleFileOptions;

use crate::fixture::{self, firmware, inner, signed, verify};
use crate::zip_builder::{Item, Zip};

fn item() -> Item {
    Item::stored("FW.bin", &firmware())
}

fn decode(zip: &Zip) -> Result<Payload, PayloadError> {
    images(zip).map(|(payload, _)| payload)
}

/// The same, and its firmware files, one behind the other.
fn images(zip: &Zip) -> Result<(Payload, Vec<u8>), PayloadError> {
    fixture::decode(&zip.bytes(), &PackageLimits::default())
}

/// The reason for which the zip is refused, which is the same unsigned and signed.
fn refusal(zip: &Zip) -> PayloadError {
    let error = decode(zip).unwrap_err();
    assert_eq!(
        verify(signed(&zip.bytes())),
        Err(VerifyError::Payload(error.clone()))
    );
    error
}

fn zip_refusal(zip: &Zip) -> ZipError {
    let PayloadError::Zip(error) = refusal(zip) else {
        panic!("{:?} is not about the zip", refusal(zip));
    };
    error
}

fn item_refusal(change: impl FnOnce(&mut Item)) -> ZipError {
    zip_refusal(&Zip::of([item().with(change)]))
}

#[test]
fn what_ordinary_packers_write_is_read() {
    // Times and owners as Info-ZIP writes them: longer in the local header.
    let with_times = item().with(|item| {
        item.local_extra = [b"UT\x09\0".as_slice(), &[0; 9], b"ux\x0b\0", &[0; 11]].concat();
        item.central_extra = [b"UT\x05\0".as_slice(), &[0; 5]].concat();
        item.date = 0x5b21;
        item.needed = 10;
    });
    let utf8 = Item::deflated("FW.bin", &firmware()).with(|item| item.flags = 0x0806);
    for item in [
        item(),
        with_times,
        utf8,
        Item::deflated("FW.bin", &firmware()),
    ] {
        let (payload, image) = images(&Zip::of([item])).unwrap();
        assert_eq!(payload.firmware.len(), 1);
        assert_eq!(payload.firmware[0].name, "FW.bin");
        assert_eq!(image, firmware());
    }
}

#[test]
fn five_files_and_a_statement_are_the_most() {
    let info = br#"{"format":1,"purpose":"firmware","manufacturer":"m","model":"n",
        "deviceType":"d","version":"2"}"#;
    let files = |count: usize| (0..count).map(|n| Item::stored(&format!("{n}.bin"), b"image"));
    let with_info = |count| Zip::of(files(count).chain([Item::stored("package-info.json", info)]));

    let payload = decode(&with_info(5)).unwrap();
    assert_eq!(payload.firmware.len(), 5);
    assert_eq!(payload.info.unwrap().version, "2");
    assert_eq!(
        refusal(&Zip::of(files(6))),
        PayloadError::TooManyFiles { found: 6, max: 5 }
    );
    assert_eq!(
        zip_refusal(&with_info(6)),
        ZipError::TooManyEntries { found: 7, max: 6 }
    );
    assert_eq!(refusal(&with_info(0)), PayloadError::NoFirmware);
    assert_eq!(refusal(&Zip::default()), PayloadError::NoFirmware);
}

#[test]
fn each_kind_of_firmware_file_is_accepted_in_any_case_and_no_other() {
    for extension in FIRMWARE_EXTENSIONS {
        for name in [
            format!("FW{extension}"),
            format!("FW{}", extension.to_uppercase()),
        ] {
            let payload = decode(&Zip::of([Item::stored(&name, b"image")])).unwrap();
            assert_eq!(payload.firmware[0].name, name);
        }
    }
    for name in [
        "FW",
        "FW.exe",
        "FW.gz",
        "FW.bin_3",
        "FW.sh",
        "README.md",
        "bin",
    ] {
        let error = refusal(&Zip::of([Item::stored(name, b"image")]));
        assert_eq!(error, PayloadError::Kind(name.to_owned()));
        assert!(error.to_string().contains(".bin .zip .rar"), "{error}");
    }
    let longest = format!("{}.bin", "x".repeat(59));
    assert!(decode(&Zip::of([Item::stored(&longest, b"image")])).is_ok());
    let longer = format!("x{longest}");
    assert_eq!(
        refusal(&Zip::of([Item::stored(&longer, b"image")])),
        PayloadError::NameTooLong(longer)
    );
}

#[test]
fn names_that_could_mean_something_else_are_refused() {
    let long = "x".repeat(129);
    let names = [
        "../FW.bin",
        "..",
        ".",
        "",
        "/FW.bin",
        "a/FW.bin",
        "a\\FW.bin",
        "C:FW.bin",
        ".hidden",
        "F W.bin",
        "固件.bin",
        "FW.bin\0",
        "FW\n.bin",
        &long,
    ];
    for name in names {
        let error = item_refusal(|item| item.name = name.into());
        assert!(matches!(error, ZipError::Name(_)), "{name:?}: {error:?}");
    }
    let error = item_refusal(|item| item.name = b"\xff\xfe.bin".to_vec());
    assert!(matches!(error, ZipError::Name(_)));
    let longest = item().with(|item| item.name = format!("{}.bin", "x".repeat(59)).into());
    assert!(decode(&Zip::of([longest])).is_ok());
}

#[test]
fn only_plain_files_are_accepted() {
    let not_a_file = |change: fn(&mut Item)| {
        assert!(matches!(item_refusal(change), ZipError::NotAFile(_)));
    };
    not_a_file(|item| item.name = b"folder/".to_vec());
    not_a_file(|item| item.attributes = 0x10);
    not_a_file(|item| item.attributes = 0o040_755 << 16);
    not_a_file(|item| item.attributes = 0o120_777 << 16); // a symbolic link
    not_a_file(|item| item.attributes = 0o020_666 << 16); // a device
}

#[test]
fn a_name_stands_once_in_any_letter_case() {
    for second in ["FW.bin", "fw.BIN"] {
        let zip = Zip::of([item(), Item::stored(second, b"another")]);
        assert_eq!(zip_refusal(&zip), ZipError::Duplicate(second.to_owned()));
    }
}

#[test]
fn features_that_change_how_content_is_read_are_refused() {
    assert!(matches!(
        item_refusal(|item| item.flags = 1),
        ZipError::Encrypted(_)
    ));
    assert!(matches!(
        item_refusal(|item| item.flags = 8),
        ZipError::DataDescriptor(_)
    ));
    let feature = |change: &dyn Fn(&mut Item), what: &str| {
        assert_eq!(
            std::mem::discriminant(&item_refusal(change)),
            std::mem::discriminant(&ZipError::Feature(String::new(), "")),
            "{what}"
        );
    };
    feature(&|item| item.method = 9, "deflate64");
    feature(&|item| item.method = 14, "LZMA");
    feature(&|item| item.method = 99, "AES");
    feature(&|item| item.flags = 1 << 6, "strong encryption");
    feature(&|item| item.flags = 1 << 13, "masked headers");
    feature(&|item| item.needed = 45, "zip64 version");
    for id in [[0x01, 0x00], [0x75, 0x70], [0x01, 0x99]] {
        let extra = [id.as_slice(), &[4, 0, 1, 2, 3, 4]].concat();
        feature(
            &|item| item.central_extra.clone_from(&extra),
            "zip64, Unicode path, AES",
        );
        feature(
            &|item| item.local_extra.clone_from(&extra),
            "the same in the local header",
        );
    }
    feature(
        &|item| item.local_extra = b"UT\xff\xff".to_vec(),
        "an extra field past its end",
    );
    feature(
        &|item| item.local_extra = b"UT".to_vec(),
        "half an extra field",
    );
}

#[test]
fn two_headers_that_differ_are_refused() {
    let changes: [fn(&mut Item); 7] = [
        |local| local.name = b"FX.bin".to_vec(),
        |local| local.size += 1,
        |local| local.packed_size -= 1,
        |local| local.crc ^= 1,
        |local| local.method = 8,
        |local| local.date += 1,
        |local| local.flags = 0x0800,
    ];
    for change in changes {
        let error = zip_refusal(&Zip::of([item().with_local(change)]));
        assert_eq!(error, ZipError::HeadersDiffer("FW.bin".to_owned()));
    }
}

#[test]
fn sizes_and_checksums_that_lie_are_refused() {
    let image = vec![7; 1000];
    let deflated = || Item::deflated("FW.bin", &image);
    let changes: [(Item, &str); 5] = [
        (
            item().with(|item| item.crc ^= 1),
            "checksum of a stored file",
        ),
        (item().with(|item| item.size -= 1), "stored sizes differ"),
        (
            deflated().with(|item| item.crc ^= 1),
            "checksum of a deflated file",
        ),
        (deflated().with(|item| item.size -= 1), "unpacks to more"),
        (deflated().with(|item| item.size += 1), "unpacks to less"),
    ];
    for (item, what) in changes {
        assert_eq!(
            zip_refusal(&Zip::of([item])),
            ZipError::Damaged("FW.bin".to_owned()),
            "{what}"
        );
    }
    let past_the_end = item().with(|item| {
        item.size += 100;
        item.packed_size += 100;
    });
    assert_eq!(zip_refusal(&Zip::of([past_the_end])), ZipError::Gap);
    let max = item().with(|item| (item.size, item.packed_size) = (u32::MAX, u32::MAX));
    assert_eq!(zip_refusal(&Zip::of([max])), ZipError::Zip64);
}

#[test]
fn bytes_behind_a_deflate_stream_are_no_part_of_the_content() {
    let image = vec![7; 1000];
    let padded = Item::deflated("FW.bin", &image).with(|item| {
        item.data.extend([0xff; 9]);
        item.packed_size += 9;
    });
    let (_, unpacked) = images(&Zip::of([padded])).unwrap();
    assert_eq!(unpacked, image);
}

#[test]
fn a_bomb_is_refused_before_it_is_unpacked() {
    let bomb = Item::deflated("FW.bin", &vec![0; 4 << 20]);
    assert!(bomb.data.len() < 8192);
    assert_eq!(
        zip_refusal(&Zip::of([bomb])),
        ZipError::Ratio("FW.bin".to_owned(), 200)
    );

    // The declared size is within the ratio, the true one is not.
    let liar = Item::deflated("FW.bin", &vec![0; 4 << 20]).with(|item| item.size = 1000);
    assert_eq!(
        zip_refusal(&Zip::of([liar])),
        ZipError::Damaged("FW.bin".to_owned())
    );
}

#[test]
fn files_together_stay_within_the_limit() {
    let limits = PackageLimits {
        firmware_bytes_max: 1000,
        ..PackageLimits::default()
    };
    let zip = |second: usize| {
        let items = [
            Item::stored("1.bin", &[1; 600]),
            Item::stored("2.bin", &vec![2; second]),
        ];
        fixture::decode(&Zip::of(items).bytes(), &limits)
    };
    assert!(zip(400).is_ok());
    let too_large = ZipError::TooLarge {
        name: "2.bin".to_owned(),
        size_bytes: 401,
        max_bytes: 400,
    };
    assert_eq!(zip(401), Err(PayloadError::Zip(too_large)));
}

#[test]
fn every_byte_must_belong_to_something() {
    let two = || Zip::of([item(), Item::stored("2.bin", b"two")]);
    assert!(decode(&two()).is_ok());
    assert_eq!(
        zip_refusal(&two().with(|zip| zip.prefix = b"#!/bin/sh\n".to_vec())),
        ZipError::Gap
    );
    assert_eq!(
        zip_refusal(&two().with(|zip| zip.gap = vec![0])),
        ZipError::Gap
    );
    assert_eq!(
        zip_refusal(&two().with(|zip| zip.trailing = vec![0])),
        ZipError::End
    );
    assert_eq!(
        zip_refusal(&two().with(|zip| zip.comment = b"hello".to_vec())),
        ZipError::End
    );
    let end = Zip::default().bytes();
    assert_eq!(
        zip_refusal(&two().with(|zip| zip.trailing = end.clone())),
        ZipError::Gap
    );
    assert_eq!(
        zip_refusal(&two().with(|zip| zip.comment = end)),
        ZipError::Gap
    );
    assert_eq!(
        zip_refusal(&two().with(|zip| zip.count = Some(1))),
        ZipError::Gap
    );
    assert_eq!(
        zip_refusal(&two().with(|zip| zip.count = Some(3))),
        ZipError::Gap
    );
    assert_eq!(
        zip_refusal(&two().with(|zip| zip.count = Some(u16::MAX))),
        ZipError::Zip64
    );

    // The directory's offset of the first entry, 4 bytes before its name, points elsewhere.
    let mut elsewhere = Zip::of([item()]).bytes();
    let name_at = elsewhere.len() - 22 - "FW.bin".len();
    assert_eq!(&elsewhere[name_at - 4..name_at + 6], b"\0\0\0\0FW.bin");
    elsewhere[name_at - 4] = 1;
    let decoded = fixture::decode(&elsewhere, &PackageLimits::default());
    assert_eq!(decoded, Err(PayloadError::Zip(ZipError::Gap)));

    let twice = Zip::of([item(), item().with(|item| item.name = b"2.bin".to_vec())]);
    let error = zip_refusal(&twice.with(|zip| zip.overlap = true));
    assert!(matches!(error, ZipError::Gap), "{error:?}");
}

#[test]
fn a_cut_zip_is_refused_wherever_it_is_cut() {
    let whole = inner();
    for len in 0..whole.len() {
        let cut = fixture::decode(&whole[..len], &PackageLimits::default());
        assert!(cut.is_err(), "{len}");
    }
}

#[test]
fn a_zip_within_is_a_file_as_any_other_and_a_signed_package_is_refused() {
    let bomb = vec![0xff; 1000];
    let (payload, image) = images(&Zip::of([Item::stored("FW.ZIP", &bomb)])).unwrap();
    assert_eq!(payload.firmware[0].name, "FW.ZIP");
    assert_eq!(image, bomb, "it is never opened");
    let again = fixture::decode(&signed(&inner()), &PackageLimits::default());
    assert_eq!(again, Err(PayloadError::AlreadySigned));
    let empty = Item::stored("FW.bin", b"");
    assert_eq!(
        refusal(&Zip::of([empty])),
        PayloadError::Empty("FW.bin".to_owned())
    );
}

#[test]
fn a_statement_about_another_file_is_refused() {
    let info = |sha256: &str| {
        let json = format!(
            r#"{{"format":1,"purpose":"firmware","manufacturer":"m","model":"n","deviceType":"d",
                "version":"2","sha256":"{sha256}"}}"#
        );
        Zip::of([item(), Item::stored("package-info.json", json.as_bytes())])
    };
    let digest = decode(&Zip::of([item()])).unwrap().firmware[0]
        .sha256
        .to_string();
    assert!(decode(&info(&digest)).is_ok());
    assert_eq!(refusal(&info(&"0".repeat(64))), PayloadError::InfoSha256);
    let two = info(&digest).with(|zip| zip.items.push(Item::stored("2.bin", b"two")));
    assert_eq!(refusal(&two), PayloadError::InfoSha256);
    assert!(matches!(refusal(&info("no digest")), PayloadError::Info(_)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_an_ordinary_packer_writes_is_read_alike(
        image in prop::collection::vec(0_u8..4, 1..5000),
        deflate: bool,
    ) {
        let method = if deflate {
            zip::CompressionMethod::Deflated
        } else {
            zip::CompressionMethod::Stored
        };
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default().compression_method(method);
        writer.start_file("FW.bin", options).unwrap();
        writer.write_all(&image).unwrap();
        let written = writer.finish().unwrap().into_inner();
        let (_, unpacked) = fixture::decode(&written, &PackageLimits::default()).unwrap();
        prop_assert_eq!(unpacked, image);
    }

    #[test]
    fn what_we_write_is_the_format_to_the_byte(image in prop::collection::vec(any::<u8>(), 1..5000)) {
        let zip = zip_firmware("FW.bin", &image, None, &PackageLimits::default()).unwrap();
        prop_assert_eq!(&zip[..], Zip::of([Item::stored("FW.bin", &image)]).bytes());
    }

    #[test]
    fn no_bytes_make_it_panic(
        deflate: bool,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let image = b"firmware firmware firmware";
        let item = if deflate { Item::deflated("a", image) } else { Item::stored("a", image) };
        let mut bytes = Zip::of([item, Item::stored("b", b"2")]).bytes();
        for (index, value) in changes {
            let at = index.index(bytes.len());
            bytes[at] = value;
        }
        // A change of a time, an attribute or a name may leave it sound; the content never differs.
        if let Ok((payload, images)) = fixture::decode(&bytes, &PackageLimits::default()) {
            prop_assert_eq!(payload.firmware[0].size_bytes, image.len() as u64);
            prop_assert!(images.starts_with(image));
        }
    }
}
