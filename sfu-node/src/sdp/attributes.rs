//! Attributes of a session or of an m-section by name. All walks over a client's attributes go through here, where they are
//! counted in tests.

use super::steps::{self, Walk};
use sdp_types::{Attribute, AttributeError, TypedAttribute};

fn named<'a>(attributes: &'a [Attribute], name: &'a str) -> impl Iterator<Item = &'a Attribute> {
    let all = attributes.iter().walked();
    all.filter(move |attribute| attribute.attribute.eq_ignore_ascii_case(name))
}

/// Whether there is one of this name.
pub(super) fn has(attributes: &[Attribute], name: &str) -> bool {
    named(attributes, name).next().is_some()
}

/// The values of all of this name that have one.
pub(super) fn values<'a>(attributes: &'a [Attribute], name: &'a str) -> impl Iterator<Item = &'a str> {
    named(attributes, name).filter_map(|attribute| attribute.value.as_deref())
}

/// The value of the first of this name.
pub(super) fn first<'a>(attributes: &'a [Attribute], name: &'a str) -> Option<&'a str> {
    named(attributes, name).next()?.value.as_deref()
}

/// All of one type. An attribute without a value reads as the empty text.
pub(super) fn typed<T: TypedAttribute>(attributes: &[Attribute]) -> impl Iterator<Item = Result<T, AttributeError>> {
    read(attributes).map(|(_, parsed)| parsed)
}

/// The same, each with its text.
pub(super) fn read<T: TypedAttribute>(
    attributes: &[Attribute],
) -> impl Iterator<Item = (&str, Result<T, AttributeError>)> {
    named(attributes, T::NAME).map(|attribute| {
        let value = attribute.value.as_deref().unwrap_or_default();
        // The crate reads a value once from its beginning to its end.
        steps::add(value.len());
        (value, T::from_str(value))
    })
}
