//! Bits, most significant first, as H264 parameter sets need them (ITU-T H.264, 7.2 and 9.1).

/// A growing string of bits.
#[derive(Default)]
pub(super) struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    /// Appends the low `count` bits of `value`: `u(n)`.
    pub(super) fn fixed(&mut self, value: u32, count: u32) -> &mut Self {
        for i in (0..count).rev() {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let bit = ((value >> i) & 1) as u8;
            if let Some(last) = self.bytes.last_mut() {
                *last |= bit << (7 - self.used % 8);
            }
            self.used += 1;
        }
        self
    }

    /// Appends an Exp-Golomb code: `ue(v)`.
    pub(super) fn golomb(&mut self, value: u32) -> &mut Self {
        let code = value + 1;
        let length = u32::BITS - code.leading_zeros();
        self.fixed(0, length - 1).fixed(code, length)
    }

    /// Ends a parameter set: a one, then zeros up to the next byte.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        self.fixed(1, 1);
        std::mem::take(&mut self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_golomb_codes_match_the_table_of_the_standard() {
        // Table 9-2: 0 -> 1, 1 -> 010, 2 -> 011, 3 -> 00100.
        let mut bits = Bits::default();
        bits.golomb(0).golomb(1).golomb(2).golomb(3);
        assert_eq!(bits.finish(), [0b1010_0110, 0b0100_1000]);
    }
}
