//! What is packed by blosc says how large it will be, and memory is taken for that before anything is looked at.

/// Bytes that a value unpacks into by its own header (c-blosc, "Blosc Header Format": four bytes, then a number of four,
/// little-endian). `None` of one that has no header.
fn claimed(value: &[u8]) -> Option<u64> {
    let number = value.get(4..8)?.try_into().ok()?;
    Some(u32::from_le_bytes(number).into())
}

/// Refuses one that would become far more than a chunk of so many bytes. Other codecs may have made a little more of
/// it before, sums say, or less.
pub(super) fn check(value: &[u8], chunk: u64) -> Result<(), String> {
    match claimed(value) {
        Some(bytes) if bytes <= chunk.saturating_mul(2).saturating_add(1024) => Ok(()),
        Some(bytes) => Err(format!("it would be {bytes} bytes, where a chunk has {chunk}")),
        None => Err("it is too short for what blosc packs".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_becomes_a_chunk_is_unpacked() {
        let packed = [2, 1, 0x21, 4, 0x40, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(check(&packed, 0x1040), Ok(()));
        assert_eq!(check(&packed, 0x620), Ok(()));
        assert!(check(&packed, 0x61f).unwrap_err().contains("4160 bytes, where a chunk has 1567"));
        assert!(check(&packed[..7], 0x140).is_err());
    }
}
