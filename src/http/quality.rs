//! Quality values, by which a client says what it likes better (RFC 9110, section 12.4.2).

/// `q=1`, in thousandths.
pub(super) const WEIGHT_MAX: u32 = 1000;

/// The weight of a member of a list, in thousandths, if this parameter is one.
pub(super) fn weight(parameter: &[u8]) -> Option<u32> {
    let digits = match parameter {
        [b'q' | b'Q', b'=', b'1', ..] => return Some(WEIGHT_MAX),
        [b'q' | b'Q', b'=', b'0', b'.', digits @ ..] => digits,
        [b'q' | b'Q', b'=', ..] => return Some(0),
        _ => return None,
    };
    let places = [100, 10, 1];
    let worth = |(digit, place): (&u8, u32)| char::from(*digit).to_digit(10).unwrap_or(0) * place;
    Some(digits.iter().zip(places).map(worth).sum())
}
