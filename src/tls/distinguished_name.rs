//! Distinguished names of certificates as text (RFC 4514): `CN=alice,O=Example`.

use std::fmt::Write as _;

use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// The attributes that have a short name (RFC 4514, section 3), and the address that old
/// certificates have.
const SHORT_NAMES: [(&str, &str); 11] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];

/// The longest text, in bytes: it stands in headers and in log lines. A longer one is cut off,
/// which three dots show.
pub const TEXT_BYTES_MAX: usize = 1024;

/// The name as text, the last part first as RFC 4514 wants it. Visible ASCII and spaces alone:
/// everything else is escaped, so that it can stand in a header and cannot add one.
pub fn to_text(name: &X509Name<'_>) -> String {
    let mut text = String::new();
    let parts: Vec<_> = name.iter_rdn().collect();
    for (index, part) in parts.iter().rev().enumerate() {
        if index > 0 {
            text.push(',');
        }
        for (index, attribute) in part.iter().enumerate() {
            if index > 0 {
                text.push('+');
            }
            write_attribute(attribute, &mut text);
        }
        if text.len() > TEXT_BYTES_MAX {
            text.truncate(TEXT_BYTES_MAX);
            text.push_str("...");
            break;
        }
    }
    text
}

/// The first common name, escaped likewise.
pub fn common_name(name: &X509Name<'_>) -> Option<String> {
    let attribute = name.iter_common_name().next()?;
    let mut text = String::new();
    write_value(attribute.as_str().ok()?, &mut text);
    text.truncate(TEXT_BYTES_MAX);
    Some(text)
}

fn write_attribute(attribute: &AttributeTypeAndValue<'_>, text: &mut String) {
    let kind = attribute.attr_type().to_id_string();
    let short = SHORT_NAMES.iter().find(|(id, _)| *id == kind).map(|(_, short)| *short);
    text.push_str(short.unwrap_or(&kind));
    text.push('=');
    match attribute.as_str() {
        Ok(value) => write_value(value, text),
        // What is no text is shown as its bytes (RFC 4514, section 2.4).
        Err(_) => {
            text.push('#');
            attribute.as_slice().iter().for_each(|byte| write_hex(*byte, text));
        }
    }
}

fn write_value(value: &str, text: &mut String) {
    for (index, character) in value.char_indices() {
        let is_last = index + character.len_utf8() == value.len();
        match character {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => text.extend(['\\', character]),
            '#' if index == 0 => text.push_str("\\#"),
            ' ' if index == 0 || is_last => text.push_str("\\ "),
            ' '..='~' => text.push(character),
            other => {
                for byte in other.encode_utf8(&mut [0; 4]).bytes() {
                    text.push('\\');
                    write_hex(byte, text);
                }
            }
        }
    }
}

fn write_hex(byte: u8, text: &mut String) {
    write!(text, "{byte:02x}").expect("writing to a String never fails");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_cannot_be_taken_for_more_than_they_are() {
        let check = |value: &str, expected: &str| {
            let mut text = String::new();
            write_value(value, &mut text);
            assert_eq!(text, expected);
        };
        check("alice", "alice");
        check("a b", "a b");
        check(" a ", "\\ a\\ ");
        check("#a#", "\\#a#");
        check("a,O=b", "a\\,O=b");
        check("a\r\nX-Admin: 1", "a\\0d\\0aX-Admin: 1");
        check("\u{fc}", "\\c3\\bc");
    }
}
