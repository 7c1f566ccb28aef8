//! The files of `seeds/`: one seed a line, comments behind `#`.

/// What LwM2M clients send.
pub(crate) fn datagrams() -> Vec<Vec<u8>> {
    bytes(include_str!("seeds/datagrams.txt"))
}

/// TLV, sound and malformed.
pub(crate) fn tlv() -> Vec<Vec<u8>> {
    bytes(include_str!("seeds/tlv.txt"))
}

/// SenML in JSON.
pub(crate) fn senml_json() -> Vec<Vec<u8>> {
    texts(include_str!("seeds/senml_json.txt"))
}

/// SenML in CBOR.
pub(crate) fn senml_cbor() -> Vec<Vec<u8>> {
    bytes(include_str!("seeds/senml_cbor.txt"))
}

/// Payloads of Registers.
pub(crate) fn links() -> Vec<Vec<u8>> {
    texts(include_str!("seeds/links.txt"))
}

fn bytes(file: &str) -> Vec<Vec<u8>> {
    lines(file).map(|line| hex::decode(line).unwrap()).collect()
}

fn texts(file: &str) -> Vec<Vec<u8>> {
    lines(file).map(|line| line.as_bytes().to_vec()).collect()
}

fn lines(file: &str) -> impl Iterator<Item = &str> {
    file.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}
