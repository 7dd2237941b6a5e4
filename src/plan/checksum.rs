//! POSIX `cksum`. A script checks files with it, because every system has it.

const POLYNOMIAL: u32 = 0x04c1_1db7;

/// Returns the output of `cksum <FILE`: CRC and length (POSIX.1-2017, `cksum`).
pub(super) fn compute_cksum(bytes: &[u8]) -> String {
    let length = std::iter::successors(Some(bytes.len()), |rest| Some(rest >> 8))
        .take_while(|rest| *rest > 0);
    let length = length.map(|rest| rest.to_le_bytes()[0]);
    let crc = bytes.iter().copied().chain(length).fold(0, update_crc);
    format!("{} {}", !crc, bytes.len())
}

fn update_crc(crc: u32, byte: u8) -> u32 {
    (0..8).fold(crc ^ (u32::from(byte) << 24), |crc, _| {
        if crc >> 31 == 1 {
            (crc << 1) ^ POLYNOMIAL
        } else {
            crc << 1
        }
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn compute_cksum_matches_gnu_cksum() {
        // Printed by GNU cksum.
        for (text, printed) in [
            ("", "4294967295 0"),
            ("a\n", "2418082923 2"),
            ("[[profile]]\nname = \"default\"\n", "1166494100 29"),
        ] {
            assert_eq!(super::compute_cksum(text.as_bytes()), printed);
        }
    }
}
