//! How ids, times and choices look in the description: what they are made of, and an example
//! of each. The fields have types of their own, which the description would not know.

use std::cell::Cell;

use serde::de::value::Error;
use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor};
use serde::forward_to_deserialize_any;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

macro_rules! texts {
    ($($name:ident: $pattern:literal, $example:literal, $doc:literal;)*) => {$(
        #[doc = $doc]
        pub(crate) enum $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let text = ObjectBuilder::new().schema_type(Type::String);
                let text = text.description(Some($doc)).pattern(Some($pattern));
                text.examples([$example]).into()
            }
        }

        impl ToSchema for $name {}
    )*};
}

texts! {
    LocalName: "^[0-9a-f]{16}$", "d78438f0fb854c5a",
        "An account's name on this machine only.";
    JamiId: "^[0-9a-f]{40}$", "867e21b1ff56e0ba0f31d8c1d7a6b1ab97d3f0a5",
        "An account's Jami ID: what others add it by.";
    DeviceId: "^[0-9a-f]{64}$",
        "2b4e0f3c9d6a1875c0e2f4a6b8d0c1e3f5a7b9d1c3e5f7092b4d6f8a0c2e4f61",
        "A device.";
    ConversationId: "^[0-9a-f]{40}$", "9b1de7c60f0a4c41b8d2a3e5f60718293a4b5c6d",
        "A conversation.";
    MessageId: "^[0-9a-f]{40}$", "4f2a8b1c3d5e6f708192a3b4c5d6e7f809112233",
        "A message, or another commit of a conversation.";
    NodeId: "^[0-9a-f]{40}$", "c0ffee00112233445566778899aabbccddeeff00",
        "A node of the DHT.";
    EventType: "^[a-z_]{1,64}$", "message_received",
        "A type of events.";
}

/// Milliseconds since 1970.
pub(crate) enum Time {}

impl PartialSchema for Time {
    fn schema() -> RefOr<Schema> {
        let number = ObjectBuilder::new().schema_type(Type::Integer);
        number
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
            .minimum(Some(0))
            .description(Some("Milliseconds since 1970."))
            .examples([1_796_040_000_000_u64])
            .into()
    }
}

impl ToSchema for Time {}

macro_rules! choices {
    ($($name:ident: $type:ty, $doc:literal;)*) => {$(
        #[doc = $doc]
        pub(crate) enum $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let text = ObjectBuilder::new().schema_type(Type::String);
                let text = text.description(Some($doc));
                text.enum_values(Some(names_of::<$type>().iter().copied())).into()
            }
        }

        impl ToSchema for $name {}
    )*

        #[cfg(test)]
        const CHOICES: &[fn() -> &'static [&'static str]] = &[$(names_of::<$type>),*];
    };
}

choices! {
    RegistrationState: baraza_core::event::RegistrationState,
        "How an account stands with the network.";
    Presence: baraza_core::event::Presence,
        "Whether somebody is there: `available` is announced on the DHT.";
    FileStatus: baraza_core::event::FileStatus, "How far a file is.";
    Role: baraza_core::command::Role, "What somebody is in a conversation.";
    Pending: baraza_core::command::Pending, "What a message waits for.";
    EntryKind: baraza_core::view::EntryKind,
        "What an entry is; `other` is what this version does not know.";
    Reached: baraza_core::view::Status,
        "How far a message has got: on no device of a member, on one, read.";
    LinkState: baraza_core::link_device::LinkState, "How far the linking of a device is.";
    LinkError: baraza_core::link_device::LinkError, "Why no device was linked.";
}

/// The names of a choice, as they are written: what `serde` would read.
fn names_of<T: DeserializeOwned>() -> &'static [&'static str] {
    let names = Cell::new(&[][..]);
    let _asked: Result<T, Error> = T::deserialize(Asked(&names));
    names.get()
}

/// Is asked for a choice, and notes between what.
struct Asked<'a>(&'a Cell<&'static [&'static str]>);

impl<'de> Deserializer<'de> for Asked<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("this is no choice"))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        self.0.set(names);
        Err(Error::custom("only asked"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_choice_has_names() {
        for names in CHOICES {
            assert!(names().len() > 1, "{:?}", names());
        }
        let presence = names_of::<baraza_core::event::Presence>();
        assert_eq!(presence, ["offline", "available", "connected"]);
    }
}
