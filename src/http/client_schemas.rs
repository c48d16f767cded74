//! The settings of a client in the OpenAPI document: as members of the bodies and answers that flatten them.

use chrono::DateTime;
use serde_json::Value;
use utoipa::Modify;
use utoipa::openapi::schema::{
    AdditionalProperties, ArrayBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat, SchemaType, Type,
};
use utoipa::openapi::{OpenApi as Document, RefOr};

use super::extract::client_settings::SettingsBody;
use crate::domain::ClientId;
use crate::domain::clients::{
    Client, ClientAuthMethod, ClientMetadata, ClientSetting, PlainValue, Shape, TextShape, Unset,
};
use crate::views::json_of;

/// Adds the settings to the schemas.
pub struct ClientSettings;

/// A body or an answer with settings.
#[derive(Clone, Copy)]
enum Place {
    Body(SettingsBody),
    /// An answer to an operator. A missing value is `null`.
    OperatorAnswer,
    /// An answer to a client that registers itself. A missing value is left out.
    RegistrationAnswer,
}

impl Modify for ClientSettings {
    fn modify(&self, document: &mut Document) {
        let schemas = &mut document.components.get_or_insert_default().schemas;
        for (name, place) in [
            ("NewClient", Place::Body(SettingsBody::Create)),
            ("ClientPatch", Place::Body(SettingsBody::Update)),
            ("ClientView", Place::OperatorAnswer),
            ("ClientRegistration", Place::Body(SettingsBody::Registration)),
            ("ClientInformation", Place::RegistrationAnswer),
        ] {
            let Some(RefOr::T(Schema::Object(object))) = schemas.get_mut(name) else { continue };
            for setting in ClientSetting::ALL.iter().filter(|setting| place.has(setting)) {
                object.properties.insert(setting.name.to_owned(), place.schema(setting).into());
                if place.requires(setting) {
                    object.required.push(setting.name.to_owned());
                }
            }
            if let Place::Body(SettingsBody::Create | SettingsBody::Update) = place {
                object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
            }
        }
    }
}

impl Place {
    fn has(self, setting: &ClientSetting) -> bool {
        match self {
            Self::Body(body) => body.has(setting),
            Self::OperatorAnswer => SettingsBody::Create.has(setting),
            Self::RegistrationAnswer => SettingsBody::Registration.has(setting),
        }
    }

    fn requires(self, setting: &ClientSetting) -> bool {
        let always_has_value = self.default(setting) != PlainValue::Null;
        match self {
            Self::Body(body) => body.requires(setting),
            Self::OperatorAnswer => always_has_value || setting.is_nullable(),
            Self::RegistrationAnswer => always_has_value,
        }
    }

    fn is_nullable(self, setting: &ClientSetting) -> bool {
        match self {
            Self::Body(body) => !body.requires(setting),
            Self::OperatorAnswer => setting.is_nullable(),
            Self::RegistrationAnswer => false,
        }
    }

    /// The value of a client that does not give the setting.
    fn default(self, setting: &ClientSetting) -> PlainValue {
        let make = match self {
            Self::Body(SettingsBody::Registration) | Self::RegistrationAnswer => ClientMetadata::defaults,
            _ => Client::with_defaults,
        };
        let client = make(ClientId::first_party(), ClientAuthMethod::SecretBasic, DateTime::UNIX_EPOCH);
        (setting.get)(&client)
    }

    /// The default that the document states. A name has none: it is required, or the client's id.
    fn stated_default(self, setting: &ClientSetting) -> Option<Value> {
        let is_stated = matches!(self, Self::Body(SettingsBody::Create | SettingsBody::Registration))
            && !setting.options.required;
        Some(self.default(setting)).filter(|plain| is_stated && *plain != PlainValue::Null).map(json_of)
    }

    fn schema(self, setting: &ClientSetting) -> Schema {
        let (options, is_nullable) = (setting.options, self.is_nullable(setting));
        let is_registration = matches!(self, Self::Body(SettingsBody::Registration));
        let described = |object: ObjectBuilder| {
            let object = object.description(Some(about(setting))).default(self.stated_default(setting));
            Schema::Object(object.examples(options.example).build())
        };
        match setting.shape {
            Shape::Flag => described(typed(Type::Boolean, is_nullable)),
            Shape::KeySet => described(typed(Type::Object, is_nullable)),
            Shape::Scopes => described(typed(Type::String, is_nullable).pattern(Some(r"^[ !#-\[\]-~]*$"))),
            Shape::Text(shape) => described(self.text(shape, is_nullable)),
            Shape::Seconds => {
                let (minimum, maximum) = options.bounds;
                let seconds = typed(Type::Integer, is_nullable).minimum(Some(minimum)).maximum(maximum);
                described(seconds.format(Some(SchemaFormat::KnownFormat(KnownFormat::Int32))))
            }
            Shape::List(shape) => {
                // A client that registers itself may send choices that the server does not know.
                let item = TextShape { choices: shape.choices.filter(|_| !is_registration), ..shape };
                // A body may repeat a choice.
                let max_items = match shape.choices {
                    None => Some(Client::MAX_ITEMS),
                    Some(_) if matches!(self, Self::Body(_)) => None,
                    Some(choices) => Some(choices.len()),
                };
                let list = ArrayBuilder::new()
                    .schema_type(schema_type(Type::Array, is_nullable))
                    .items(self.text(item, false))
                    .min_items((options.is_not_empty && !is_registration).then_some(1))
                    .max_items(max_items)
                    .description(Some(about(setting)))
                    .default(self.stated_default(setting));
                Schema::Array(list.build())
            }
        }
    }

    /// A text, or an item of a list. Only answers state the length, because bodies may have names to trim.
    fn text(self, shape: TextShape, is_nullable: bool) -> ObjectBuilder {
        let max_length = shape.max_length.filter(|_| !matches!(self, Self::Body(_)));
        let null = is_nullable.then_some(Value::Null);
        let choices = shape.choices.map(|texts| texts.iter().map(|&text| Value::from(text)).chain(null));
        typed(Type::String, is_nullable)
            .min_length(max_length.map(|_| 1))
            .max_length(max_length)
            .enum_values(choices)
    }
}

fn about(setting: &ClientSetting) -> String {
    let mut about = setting.about.to_owned();
    if matches!(setting.shape, Shape::Seconds) {
        about += " In seconds.";
    }
    if let Unset::Server(name) = setting.options.unset {
        about += &format!(" Without a value: the server's `{name}`.");
    }
    about
}

fn typed(kind: Type, is_nullable: bool) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(schema_type(kind, is_nullable))
}

fn schema_type(kind: Type, is_nullable: bool) -> SchemaType {
    match is_nullable {
        true => SchemaType::from_iter([kind, Type::Null]),
        false => SchemaType::new(kind),
    }
}
