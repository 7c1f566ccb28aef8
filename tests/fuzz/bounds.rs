//! What a decoder may cost: allocations, which also tell steps, against what it was given.

/// Runs a decoder on `input_bytes`. All that it allocates on the way, whether it keeps it or not,
/// stays within `fixed + per_byte * input_bytes`: no length field is believed, and nothing is copied
/// again and again.
pub(crate) fn bounded<T>(
    input_bytes: usize,
    fixed: u64,
    per_byte: u64,
    decode: impl FnOnce() -> T,
) -> T {
    let mut decoded = None;
    let cost = allocation_counter::measure(|| decoded = Some(decode()));
    let allowed = fixed + per_byte * input_bytes as u64;
    assert!(
        cost.bytes_total <= allowed,
        "{} bytes were allocated for an input of {input_bytes}, {allowed} are allowed",
        cost.bytes_total
    );
    decoded.unwrap()
}

#[test]
fn a_decoder_that_believes_a_length_field_is_found() {
    let believes = || {
        bounded(4, 1024, 4, || {
            std::hint::black_box(Vec::<u8>::with_capacity(1 << 20))
        })
    };
    assert!(std::panic::catch_unwind(believes).is_err());
}
