//! libcoap's client that loses a part of what it sends, of its own choice: every byte arrives all the
//! same, at every block size.

use std::sync::Arc;
use std::time::Duration;

use narrowcast::clock::{Instant, SystemClock};
use tokio::task::JoinSet;

use crate::downloads::{Held, libcoap};

const SIZES: [usize; 4] = [16, 64, 256, 1024];

/// What is lost, and by how many clients at once: so many that some lose something, but for once in
/// 200,000 runs.
const LOSSES: [(&str, usize); 3] = [("10%", 6), ("20%", 3), ("30%", 2)];

/// So few that losses of 30 %, at two to three seconds for the first and twice as much for each after
/// it (RFC 7252 §4.2), leave most downloads within one try.
const BLOCKS: usize = 5;

/// As devices do, the client gives a download up that takes too long, and begins again.
const TRY_SECONDS: &str = "12";

/// One in five takes too long at 30 %: eight in a row, once in 200,000 downloads.
const TRIES_MAX: u32 = 8;

/// What one download took.
#[derive(Debug)]
struct Fetched {
    block_bytes: usize,
    loss: &'static str,
    tries: u32,
    lost: usize,
    took: Duration,
}

fn fetch(held: &Held, block_bytes: usize, loss: &'static str, clock: SystemClock) -> Fetched {
    let begun = clock.now().instant;
    let since = |begun: Instant| clock.now().instant.saturating_since(begun);
    let size = block_bytes.to_string();
    let arguments = ["-b", &size, "-l", loss, "-v", "7", "-B", TRY_SECONDS];
    let mut lost = 0;
    for tries in 1..=TRIES_MAX {
        let (image, said) = libcoap(&arguments, &held.uri);
        let log = String::from_utf8_lossy(&said.stderr).into_owned()
            + &String::from_utf8_lossy(&said.stdout);
        lost += log.matches(" dropped").count();
        // What there is of it is right, however little.
        let expected = held.bench.firmware.image.get(..image.len());
        assert_eq!(expected, Some(&image[..]), "{arguments:?}: {log}");
        if image.len() == held.bench.firmware.image.len() {
            return Fetched {
                block_bytes,
                loss,
                tries,
                lost,
                took: since(begun),
            };
        }
        assert!(log.contains("timeout"), "ended early: {log}");
    }
    panic!("{arguments:?}: nothing whole in {TRIES_MAX} tries");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_loses_what_it_sends_fetches_the_image_at_every_block_size() {
    let clock = SystemClock::new();
    let mut fetches = JoinSet::new();
    for block_bytes in SIZES {
        // The last block is not full.
        let held = Arc::new(Held::of(BLOCKS * block_bytes - 5).await);
        for (loss, clients) in LOSSES {
            for _ in 0..clients {
                let held = Arc::clone(&held);
                fetches.spawn_blocking(move || fetch(&held, block_bytes, loss, clock));
            }
        }
    }
    let all = fetches.join_all().await;
    for (loss, _) in LOSSES {
        for block_bytes in SIZES {
            let of_both =
                |fetched: &&Fetched| fetched.loss == loss && fetched.block_bytes == block_bytes;
            let some: Vec<_> = all.iter().filter(of_both).collect();
            let longest = some.iter().map(|fetched| fetched.took).max().unwrap();
            println!(
                "{loss} lost, {block_bytes:>4} bytes a block, {} downloads: {} datagrams lost, {} tries, {:.1} s at most",
                some.len(),
                some.iter().map(|fetched| fetched.lost).sum::<usize>(),
                some.iter().map(|fetched| fetched.tries).sum::<u32>(),
                longest.as_secs_f64()
            );
        }
        let lost = |fetched: &Fetched| fetched.loss == loss && fetched.lost > 0;
        assert!(all.iter().any(lost), "{all:#?}");
    }
}
