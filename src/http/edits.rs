//! Fields that a configuration sets, adds and removes.

use super::context::Context;
use super::field::FieldName;
use super::request::RequestHead;
use super::template::Template;

/// A field line whose value is made anew for each message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldTemplate {
    /// The name, written as it stands here.
    pub name: FieldName,
    /// The value.
    pub value: Template,
}

impl FieldTemplate {
    /// Appends the line for one message.
    pub(super) fn write(&self, head: &RequestHead, context: &Context<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(self.name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        self.value.render(head, context, out);
        out.extend_from_slice(b"\r\n");
    }
}

/// What is changed about the fields of a message, besides what every proxy must.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeaderEdits {
    set: Box<[FieldTemplate]>,
    add: Box<[FieldTemplate]>,
    remove: Box<[FieldName]>,
    /// Bit `n % 64`: some field of `n` bytes is set or removed.
    lengths: u64,
}

impl HeaderEdits {
    /// Edits that replace the fields of `set`, leave out those of `remove`, and then put those of
    /// `add` behind whatever the message has.
    ///
    /// # Errors
    /// A sentence that names a field which is both set and removed, set twice, or set and added.
    pub fn new(
        set: Vec<FieldTemplate>,
        add: Vec<FieldTemplate>,
        remove: Vec<FieldName>,
    ) -> Result<HeaderEdits, String> {
        for (index, field) in set.iter().enumerate() {
            let name = field.name.as_str();
            if remove.contains(&field.name) {
                return Err(format!("{name} is both set and removed"));
            }
            if add.iter().any(|other| other.name == field.name) {
                return Err(format!("{name} is both set and added"));
            }
            if set[..index].iter().any(|other| other.name == field.name) {
                return Err(format!("{name} is set twice"));
            }
        }
        Ok(HeaderEdits::of(set, add, remove))
    }

    fn of(set: Vec<FieldTemplate>, add: Vec<FieldTemplate>, remove: Vec<FieldName>) -> HeaderEdits {
        let replaced = set.iter().map(|field| &field.name).chain(&remove);
        let lengths = replaced.fold(0, |bits, name| bits | length_bit(name.as_str().as_bytes()));
        HeaderEdits { set: set.into(), add: add.into(), remove: remove.into(), lengths }
    }

    /// These edits, and over them those of something more special, such as of a route over those
    /// of its listener.
    #[must_use]
    pub fn overlaid(&self, special: &HeaderEdits) -> HeaderEdits {
        let kept = |name: &FieldName| !special.replaces(name.as_str().as_bytes());
        let both = |own: &[FieldTemplate], over: &[FieldTemplate]| -> Vec<FieldTemplate> {
            own.iter().filter(|field| kept(&field.name)).chain(over).cloned().collect()
        };
        let remove = self.remove.iter().filter(|name| kept(name)).chain(&special.remove);
        HeaderEdits::of(
            both(&self.set, &special.set),
            both(&self.add, &special.add),
            remove.cloned().collect(),
        )
    }

    /// Whether the message's own fields of this name are left out. `_` counts as `-`: a program
    /// that cannot tell the two apart would take a client's `X_User` for the `X-User` set here.
    pub fn replaces(&self, name: &[u8]) -> bool {
        self.lengths & length_bit(name) != 0
            && (self.set.iter().any(|field| field.name.covers(name))
                || self.remove.iter().any(|removed| removed.covers(name)))
    }

    /// The field lines that the message gets: those set, then those added.
    pub fn lines(&self) -> impl Iterator<Item = &FieldTemplate> {
        self.set.iter().chain(&self.add)
    }
}

/// Most names differ in length from all that are edited: one bit spares the comparisons.
fn length_bit(name: &[u8]) -> u64 {
    1 << (name.len() % 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, value: &str) -> FieldTemplate {
        FieldTemplate {
            name: FieldName::editable(name).unwrap(),
            value: Template::parse(value).unwrap(),
        }
    }

    fn name(text: &str) -> FieldName {
        FieldName::editable(text).unwrap()
    }

    fn names(edits: &HeaderEdits) -> Vec<&str> {
        edits.lines().map(|field| field.name.as_str()).collect()
    }

    #[test]
    fn set_and_remove_replace_and_add_does_not() {
        let edits =
            HeaderEdits::new(vec![field("X-A", "1")], vec![field("X-BB", "2")], vec![name("X-C")]);
        let edits = edits.unwrap();
        assert!(edits.replaces(b"x-a") && edits.replaces(b"X-C"));
        assert!(!edits.replaces(b"X-BB") && !edits.replaces(b"X-D"));
        assert_eq!(names(&edits), ["X-A", "X-BB"]);
    }

    #[test]
    fn contradictions_are_said() {
        let check = |set: &[&str], add: &[&str], remove: &[&str], expected: &str| {
            let fields =
                |names: &[&str]| -> Vec<_> { names.iter().map(|it| field(it, "v")).collect() };
            let remove = remove.iter().map(|it| name(it)).collect();
            assert_eq!(HeaderEdits::new(fields(set), fields(add), remove).unwrap_err(), expected);
        };
        check(&["X-A"], &[], &["x-a"], "X-A is both set and removed");
        check(&["X-A"], &["x-a"], &[], "X-A is both set and added");
        check(&["X-A", "x-a"], &[], &[], "x-a is set twice");
    }

    #[test]
    fn the_special_edit_wins() {
        let general = HeaderEdits::new(
            vec![field("X-A", "1"), field("X-B", "1")],
            vec![field("X-C", "1")],
            vec![name("X-D")],
        );
        let special =
            HeaderEdits::new(vec![field("x-d", "2")], vec![], vec![name("x-b"), name("x-c")]);
        let both = general.unwrap().overlaid(&special.unwrap());
        assert_eq!(names(&both), ["X-A", "x-d"]);
        for gone in [b"X-A", b"X-B", b"X-C", b"X-D"] {
            assert!(both.replaces(gone));
        }
    }
}
