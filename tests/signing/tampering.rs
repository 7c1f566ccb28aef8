//! A signed package that was touched anywhere is refused.

use narrowcast::signing::{self, PackageLimits, PublicKey, VerifyError};
use sha2::{Digest, Sha256};

use crate::fixture::{
    OTHER_PUBLIC_PEM, container, encoded_message, firmware, inner, manifest, private_key,
    private_operation, public_key, rng, signed, verify, verify_with,
};
use crate::zip_builder::{Item, Zip};

fn package() -> Zip {
    container(&inner(), &private_operation(&encoded_message(&inner())))
}

#[test]
fn a_signed_package_is_verified_and_described() {
    let limits = PackageLimits::default();
    let archive =
        signing::sign("FW", &inner().into(), &private_key(), &limits, &mut rng(1)).unwrap();
    let package = verify(archive.clone()).unwrap();
    assert_eq!(package.key_id, public_key().id());
    assert_eq!(package.inner_zip_name, "FW.zip");
    assert_eq!(
        package.archive_sha256.0,
        <[u8; 32]>::from(Sha256::digest(&archive))
    );
    assert_eq!(package.info, None);
    assert_eq!(package.firmware.len(), 1);
    assert_eq!(package.firmware[0].name, "FW.bin");
    assert_eq!(package.firmware[0].size_bytes, firmware().len() as u64);
    assert_eq!(
        package.firmware[0].sha256.0,
        <[u8; 32]>::from(Sha256::digest(firmware()))
    );
}

#[test]
fn the_same_input_gives_the_same_bytes_whatever_blinds_the_operation() {
    let limits = PackageLimits::default();
    let sign = |seed| {
        signing::sign(
            "FW",
            &inner().into(),
            &private_key(),
            &limits,
            &mut rng(seed),
        )
        .unwrap()
    };
    assert_eq!(sign(1), sign(2));
    assert_eq!(
        sign(1),
        signed(&inner()),
        "the format as this test writes it"
    );
}

#[test]
fn a_flipped_bit_anywhere_is_noticed() {
    let whole = signed(&inner());
    assert!(verify(whole.clone()).is_ok());
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1 << (at % 8);
        assert!(verify(changed).is_err(), "byte {at} of {}", whole.len());
    }
}

#[test]
fn a_cut_or_lengthened_package_is_refused() {
    let whole = signed(&inner());
    for len in 0..whole.len() {
        assert!(verify(whole[..len].to_vec()).is_err(), "{len}");
    }
    assert!(verify([whole.as_slice(), b"\0"].concat()).is_err());
    assert!(verify([b"\0", whole.as_slice()].concat()).is_err());
    assert!(verify([whole.as_slice(), whole.as_slice()].concat()).is_err());
    assert!(verify(Vec::new()).is_err());
}

#[test]
fn entries_are_three_in_their_order_under_their_names() {
    let not_signed = |change: fn(&mut Vec<Item>)| {
        let zip = package().with(|zip| change(&mut zip.items));
        let error = verify(zip.bytes()).unwrap_err();
        assert!(
            matches!(error, VerifyError::NotSigned | VerifyError::Zip(_)),
            "{error:?}"
        );
    };
    assert!(verify(package().bytes()).is_ok());
    not_signed(|items| items.push(Item::stored("extra", b"more")));
    not_signed(|items| items.push(items[1].clone()));
    not_signed(|items| items.push(items[2].clone()));
    not_signed(|items| drop(items.remove(0)));
    not_signed(|items| drop(items.remove(1)));
    not_signed(|items| drop(items.pop()));
    not_signed(|items| items[2] = items[1].clone());
    not_signed(|items| items.swap(0, 1));
    not_signed(|items| items.swap(1, 2));
    not_signed(|items| items.reverse());
    not_signed(|items| items[0].name = b"Manifest.json".to_vec());
    not_signed(|items| items[1].name = b"FX.zip".to_vec());
    not_signed(|items| items[1].name = b".zip".to_vec());
    not_signed(|items| items[2].name = b"FW.zip.SIG".to_vec());
    not_signed(|items| items[2].name = b"signature".to_vec());
    not_signed(|items| items[1].name = b"../FW.zip".to_vec());
    not_signed(|items| items.clear());

    // Both renamed alike: the signed bytes are the same, and the manifest tells.
    let renamed = package().with(|zip| {
        zip.items[1].name = b"FX.zip".to_vec();
        zip.items[2].name = b"FX.zip.sig".to_vec();
    });
    assert_eq!(
        verify(renamed.bytes()),
        Err(VerifyError::ManifestMismatch("payload"))
    );
}

#[test]
fn a_package_that_was_packed_again_is_refused() {
    let repacked = |change: fn(&mut Item)| {
        let zip = package().with(|zip| change(&mut zip.items[1]));
        assert_eq!(verify(zip.bytes()), Err(VerifyError::Repacked));
    };
    repacked(|item| item.date += 1);
    repacked(|item| item.attributes = 0);
    repacked(|item| item.needed = 20);
    repacked(|item| item.flags = 0x0800);
    repacked(|item| item.central_extra = b"UT\x05\0\0\0\0\0\0".to_vec());
    repacked(|item| item.local_extra = b"UT\x05\0\0\0\0\0\0".to_vec());
    let deflated = package().with(|zip| zip.items[1] = Item::deflated("FW.zip", &inner()));
    assert_eq!(verify(deflated.bytes()), Err(VerifyError::Repacked));
}

#[test]
fn changed_content_is_refused_though_every_checksum_is_right() {
    let signature = private_operation(&encoded_message(&inner()));
    let mut image = firmware();
    image[0] ^= 1;
    let other = Zip::of([Item::stored("FW.bin", &image)]).bytes();
    let expected = Err(VerifyError::BadSignature {
        key_id: public_key().id(),
    });
    assert_eq!(verify(container(&other, &signature).bytes()), expected);

    // The signature is looked at before the inner zip, so garbage in it is never parsed.
    assert_eq!(
        verify(container(b"no zip at all", &signature).bytes()),
        expected
    );
}

#[test]
fn the_manifest_must_say_what_is_so() {
    let with_manifest = |text: &str| {
        let mut zip = package();
        zip.items[0] = Item::stored("manifest.json", text.as_bytes());
        verify(zip.bytes())
    };
    let truth = manifest(&inner());
    assert!(with_manifest(&truth).is_ok());
    assert!(
        with_manifest(&truth.replace(',', ", ")).is_ok(),
        "white space says nothing"
    );
    let changes = [
        ("format", "narrowcast-signed", "another-signed"),
        ("version", "\"version\":1", "\"version\":2"),
        ("payload", "FW.zip", "FX.zip"),
        ("size", "\"size\":", "\"size\":1"),
        ("sha256", "\"sha256\":\"", "\"sha256\":\"00"),
        ("algorithm", "RSA2048", "RSA1024"),
        ("keyId", "\"keyId\":\"", "\"keyId\":\"00"),
    ];
    for (field, from, to) in changes {
        let changed = truth.replace(from, to);
        assert_eq!(
            with_manifest(&changed),
            Err(VerifyError::ManifestMismatch(field))
        );
    }
    for text in [
        "",
        "{}",
        "[]",
        "null",
        &truth.replace('{', "{\"signedAt\":0,"),
        &truth[1..],
    ] {
        assert!(
            matches!(with_manifest(text), Err(VerifyError::Manifest(_))),
            "{text}"
        );
    }
    let deep = "[".repeat(4000);
    assert!(matches!(
        with_manifest(&deep),
        Err(VerifyError::Manifest(_))
    ));
    assert!(matches!(
        with_manifest(&" ".repeat(5000)),
        Err(VerifyError::Zip(_))
    ));
}

#[test]
fn only_the_manufacturers_keys_count() {
    let archive = signed(&inner());
    let limits = PackageLimits::default();
    let other = PublicKey::from_pem(OTHER_PUBLIC_PEM).unwrap();
    let both = [other.clone(), public_key()];
    assert_eq!(
        verify_with(&archive, &both, &limits).unwrap().key_id,
        public_key().id()
    );
    let unknown = VerifyError::UnknownKey {
        key_id: public_key().id().to_string(),
    };
    assert_eq!(
        verify_with(&archive, std::slice::from_ref(&other), &limits),
        Err(unknown)
    );
    assert_eq!(verify_with(&archive, &[], &limits), Err(VerifyError::NoKey));

    // The manifest names another key than the one that signed: which key to try is a hint only, but
    // it must not lie.
    let zip = package().with(|zip| {
        let (true_id, false_id) = (public_key().id().to_string(), other.id().to_string());
        let lie = manifest(&inner()).replace(&true_id, &false_id);
        zip.items[0] = Item::stored("manifest.json", lie.as_bytes());
    });
    let lying = verify_with(&zip.bytes(), &both, &limits);
    assert_eq!(lying, Err(VerifyError::ManifestMismatch("keyId")));
}

#[test]
fn an_oversized_file_is_refused_unread() {
    let archive = signed(&inner());
    let size_bytes = archive.len() as u64;
    let limits = PackageLimits {
        archive_bytes_max: size_bytes - 1,
        ..PackageLimits::default()
    };
    let too_large = VerifyError::TooLarge {
        size_bytes,
        max_bytes: size_bytes - 1,
    };
    assert_eq!(
        verify_with(&archive, &[public_key()], &limits),
        Err(too_large)
    );
}
