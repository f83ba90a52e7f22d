//! One JSON value as a field of a protobuf message.

use serde_json::Value;

use super::{
    Unreadable,
    schema::{self, Field, Kind, Message},
};
use crate::span::wire::{put_bytes, put_tag, put_varint};

/// The message of an object. Fields are written in the order of the schema, those that are there also where they have
/// the value of those that are not: which of several was chosen is said so.
pub(super) fn message(schema: &'static Message, json: &Value) -> Result<Vec<u8>, Unreadable> {
    let object = json.as_object().ok_or_else(|| Unreadable("an object was expected".to_owned()))?;
    let mut to = Vec::new();
    for field in schema.fields {
        let wrong = |why: Unreadable| Unreadable(format!("{}: {why}", field.name));
        match object.get(field.name) {
            None | Some(Value::Null) => {}
            Some(Value::Array(values)) if field.many => {
                for value in values.iter().filter(|value| !value.is_null()) {
                    put(&mut to, field, value).map_err(wrong)?;
                }
            }
            Some(_) if field.many => return Err(wrong(Unreadable("a list was expected".to_owned()))),
            Some(value) => put(&mut to, field, value).map_err(wrong)?,
        }
    }
    Ok(to)
}

fn put(to: &mut Vec<u8>, field: &Field, json: &Value) -> Result<(), Unreadable> {
    let number = field.number;
    match field.kind {
        Kind::Text => put_bytes(to, number, text(json)?.as_bytes()),
        Kind::Id => put_bytes(to, number, &hexadecimal(text(json)?)?),
        Kind::Bytes => put_bytes(to, number, &base64(text(json)?)?),
        Kind::Message(schema) => put_bytes(to, number, &message(schema, json)?),
        Kind::Pair => put_bytes(to, number, &message(&schema::KEY_VALUE, json)?),
        Kind::Bool => put_int(to, number, u64::from(boolean(json)?)),
        Kind::Enum(names) => put_int(to, number, place(names, json)?),
        Kind::Int => put_int(to, number, integer(json)?),
        Kind::Signed => {
            let value = integer(json)? as i64;
            put_int(to, number, ((value << 1) ^ (value >> 63)) as u64);
        }
        Kind::Fixed32 => {
            put_tag(to, number, 5);
            to.extend_from_slice(&(integer(json)? as u32).to_le_bytes());
        }
        Kind::Fixed64 | Kind::SignedFixed64 => {
            put_tag(to, number, 1);
            to.extend_from_slice(&integer(json)?.to_le_bytes());
        }
        Kind::Double => {
            put_tag(to, number, 1);
            to.extend_from_slice(&double(json)?.to_le_bytes());
        }
    }
    Ok(())
}

fn put_int(to: &mut Vec<u8>, number: u32, value: u64) {
    put_tag(to, number, 0);
    put_varint(to, value);
}

fn expected(what: &str) -> Unreadable {
    Unreadable(format!("{what} was expected"))
}

fn text(json: &Value) -> Result<&str, Unreadable> {
    json.as_str().ok_or_else(|| expected("a text"))
}

fn boolean(json: &Value) -> Result<bool, Unreadable> {
    match json {
        Value::Bool(truth) => Ok(*truth),
        Value::String(text) => text.parse().map_err(|_| expected("true or false")),
        _ => Err(expected("true or false")),
    }
}

/// A whole number, or a text of one, as 64 bits: negative ones in two's complement.
fn integer(json: &Value) -> Result<u64, Unreadable> {
    let parsed = match json {
        Value::Number(number) => number
            .as_u64()
            .or_else(|| number.as_i64().map(|number| number as u64))
            .or_else(|| number.as_f64().and_then(whole)),
        Value::String(text) => {
            let text = text.trim();
            text.parse().ok().or_else(|| text.parse::<i64>().ok().map(|number| number as u64))
        }
        _ => None,
    };
    parsed.ok_or_else(|| expected("a whole number"))
}

/// JavaScript knows no other numbers than these: beyond 2^53 they are not whole any more.
fn whole(number: f64) -> Option<u64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i64 as u64)
}

fn double(json: &Value) -> Result<f64, Unreadable> {
    let parsed = match json {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            other => other.trim().parse().ok(),
        },
        _ => None,
    };
    parsed.ok_or_else(|| expected("a number"))
}

fn place(names: &[&str], json: &Value) -> Result<u64, Unreadable> {
    match json {
        Value::String(text) if !text.starts_with(|first: char| first.is_ascii_digit() || first == '-') => {
            let place = names.iter().position(|name| name == text);
            place.map(|place| place as u64).ok_or_else(|| expected("a name of this enum"))
        }
        other => integer(other),
    }
}

fn hexadecimal(text: &str) -> Result<Vec<u8>, Unreadable> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let pairs = text.as_bytes().chunks(2);
    let bytes: Option<Vec<u8>> = pairs
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect();
    bytes.ok_or_else(|| expected("an id in hexadecimal digits"))
}

/// Either alphabet, padded or not.
fn base64(text: &str) -> Result<Vec<u8>, Unreadable> {
    let sextet = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    };
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut held, mut bits) = (0u32, 0u32);
    for byte in text.trim_end_matches('=').bytes() {
        let sextet = sextet(byte).ok_or_else(|| expected("bytes in base64"))?;
        held = (held << 6 | u32::from(sextet)) & 0xffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
        }
    }
    Ok(bytes)
}
