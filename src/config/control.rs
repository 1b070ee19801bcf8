//! `[control]`: the socket for commands, and who may use it.

use std::path::PathBuf;

use super::error::nearest;
use super::kinds::{Kind, Mismatch, text};
use super::raw::{Node, Value};
use super::reader::{Fallback, Report, Section};
use super::{Control, ControlSocket, limits};

/// Who runs the process, and root.
const MODE_DEFAULT: u32 = 0o600;

pub(super) fn read(mut section: Section<'_>, report: &mut Report) -> Control {
    let socket = Fallback::Default(ControlSocket::Auto);
    let socket = section.read(report, "socket", &SocketPath, socket).value;
    let mode = section.read(report, "mode", &Mode, Fallback::Default(MODE_DEFAULT)).value;
    section.finish(report);
    Control { socket, mode }
}

/// `control.socket`. A path needs a slash in it, so that a misspelt `"off"` does not become a
/// socket of that name.
struct SocketPath;

impl Kind for SocketPath {
    type Value = ControlSocket;

    fn read(&self, node: &Node) -> Result<ControlSocket, Mismatch> {
        let expected = format!(
            "\"auto\", \"off\" or the path of a socket, with at least one \"/\" and at most {} bytes",
            limits::SOCKET_PATH_BYTES
        );
        match text(node, &expected)? {
            "auto" => Ok(ControlSocket::Auto),
            "off" => Ok(ControlSocket::Off),
            path if path.contains('/')
                && !path.ends_with('/')
                && !path.contains('\0')
                && path.len() <= limits::SOCKET_PATH_BYTES =>
            {
                Ok(ControlSocket::At(PathBuf::from(path)))
            }
            word => Err(Mismatch {
                nearest: nearest(word, ["auto", "off"]),
                ..Mismatch::found(&node.value, "", expected)
            }),
        }
    }

    fn show(&self, socket: &ControlSocket) -> String {
        match socket {
            ControlSocket::Auto => "auto".to_owned(),
            ControlSocket::Off => "off".to_owned(),
            ControlSocket::At(path) => path.display().to_string(),
        }
    }
}

/// The permissions of a file, as chmod(1) takes them.
struct Mode;

impl Kind for Mode {
    type Value = u32;

    fn read(&self, node: &Node) -> Result<u32, Mismatch> {
        let expected = "permissions as chmod takes them, in quotes, such as \"0660\"";
        let mode = match &node.value {
            Value::Text(text) if text.bytes().all(|digit| digit.is_ascii_digit()) => {
                u32::from_str_radix(text, 8).ok()
            }
            _ => None,
        };
        mode.filter(|mode| limits::MODE.contains(mode))
            .ok_or_else(|| Mismatch::found(&node.value, "", expected))
    }

    fn show(&self, mode: &u32) -> String {
        format!("{mode:04o}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::raw::Origin;

    fn node(value: Value) -> Node {
        Node { value, origin: Origin::Default }
    }

    #[test]
    fn sockets_are_read() {
        let check = |written: &str, expected: Option<ControlSocket>| {
            let read = SocketPath.read(&node(Value::Text(written.to_owned()))).ok();
            assert_eq!(read, expected, "{written}");
        };
        check("auto", Some(ControlSocket::Auto));
        check("off", Some(ControlSocket::Off));
        check("./a.sock", Some(ControlSocket::At(PathBuf::from("./a.sock"))));
        check("of", None);
        check("/run/", None);
        check("/a\0b", None);
        check(&format!("/{}", "a".repeat(107)), None);
    }

    #[test]
    fn modes_are_octal() {
        let check = |value: Value, expected: Option<u32>| {
            assert_eq!(Mode.read(&node(value.clone())).ok(), expected, "{value}");
        };
        check(Value::Text("0660".into()), Some(0o660));
        check(Value::Text("600".into()), Some(0o600));
        check(Value::Text("0777".into()), Some(0o777));
        check(Value::Text("1777".into()), None);
        check(Value::Text("0o600".into()), None);
        check(Value::Text("+600".into()), None);
        check(Value::Text("".into()), None);
        check(Value::Text("0680".into()), None);
        check(Value::Integer(600), None);
        assert_eq!(Mode.show(&0o600), "0600");
    }
}
