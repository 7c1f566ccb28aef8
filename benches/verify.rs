//! A signed package of a 1 MiB image, from its bytes to the checked image: the whole way, and the
//! part that does not depend on a key.

use std::hint::black_box;
use std::io::{self, Cursor};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use narrowcast::signing::{self, PackageLimits, Payload, PrivateKey, zip_firmware};
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};

const IMAGE_BYTES: usize = 1 << 20;

fn verify(criterion: &mut Criterion) {
    let mut rng = StdRng::seed_from_u64(1);
    let mut image = vec![0; IMAGE_BYTES];
    rng.fill_bytes(&mut image);
    let limits = PackageLimits::default();
    let pem = include_str!("../certs/signing-private.pem");
    let Ok(key) = PrivateKey::from_pem(pem, None) else {
        panic!("the development key is sound");
    };
    let Ok(zip) = zip_firmware("FW.bin", &image, None, &limits) else {
        panic!("the image fits the limits");
    };
    let Ok(signed) = signing::sign("FW", &zip, &key, &limits, &mut rng) else {
        panic!("the zip is sound");
    };
    let (archive, keys) = (signed.as_slice(), [key.public_key().clone()]);

    let mut group = criterion.benchmark_group("package_1_mib");
    group.throughput(Throughput::Bytes(IMAGE_BYTES as u64));
    group.bench_function("verify", |bencher| {
        bencher.iter(|| {
            let archive = Cursor::new(black_box(archive));
            signing::verify(archive, &keys, &limits, &mut io::sink()).is_ok()
        });
    });
    group.bench_function("read_inner_zip", |bencher| {
        bencher.iter(|| {
            let zip = Cursor::new(black_box(&zip));
            Payload::decode(zip, &limits, &mut io::sink()).is_ok()
        });
    });
    group.bench_function("sign", |bencher| {
        bencher.iter(|| signing::sign("FW", black_box(&zip), &key, &limits, &mut rng).is_ok());
    });
    group.finish();
}

criterion_group!(benches, verify);
criterion_main!(benches);
