//! InfluxDB's line protocol: `measurement,tag=value field=1,other="x" time`.

use std::io::Write as _;

use edgeward_engine::Value;
use edgeward_engine::json::Printer;

use super::config::Config;
use crate::sink::SentRow;

/// Appends a row as one line. `at` is the time of the result in ms.
///
/// # Errors
/// The row has no field, or its time is no number; nothing is appended then.
pub(super) fn write(config: &Config, sent: &SentRow, at: i64, out: &mut Vec<u8>) -> Result<(), String> {
    let (data, row, fields) = (sent.data(), &sent.row, &sent.fields);
    let time = match &config.time {
        None => i64::try_from(i128::from(at) * i128::from(config.per_second) / 1_000).unwrap_or(i64::MAX),
        Some(name) => match row.get(name.as_str()) {
            Some(Value::Int(time)) => *time,
            Some(Value::Float(time)) => *time as i64,
            Some(Value::Time(time)) => {
                i64::try_from(time.as_nanosecond() * i128::from(config.per_second) / 1_000_000_000).unwrap_or(i64::MAX)
            }
            _ => return Err(format!("time field {name} not found or not a number")),
        },
    };
    let measurement = config.measurement.render(&data)?;
    let tags = config.tags.iter().map(|(name, value)| Ok((name, value.render(&data)?)));
    let tags = tags.collect::<Result<Vec<_>, String>>()?;
    let start = out.len();
    escape(&measurement, b", ", out);
    for (name, value) in tags {
        // A tag without value is not allowed.
        if value.is_empty() {
            continue;
        }
        out.push(b',');
        escape(name, b",= ", out);
        out.push(b'=');
        escape(&value, b",= ", out);
    }
    let mut separator = b' ';
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_nil()) {
        out.push(separator);
        separator = b',';
        escape(name, b",= ", out);
        out.push(b'=');
        if let Err(error) = field(value, out) {
            out.truncate(start);
            return Err(error);
        }
    }
    if separator == b' ' {
        out.truncate(start);
        return Err("a point needs at least one field".to_owned());
    }
    // Writing into a Vec cannot fail.
    let _ = writeln!(out, " {time}");
    Ok(())
}

fn field(value: &Value, out: &mut Vec<u8>) -> Result<(), String> {
    match value {
        Value::Int(int) => drop(write!(out, "{int}i")),
        Value::Float(float) if !float.is_finite() => return Err(format!("{float} cannot be stored")),
        Value::Float(float) => drop(write!(out, "{float}")),
        Value::Bool(flag) => drop(write!(out, "{flag}")),
        Value::Str(text) => quote(text, out),
        other => quote(&Printer::default().text(other).map_err(|error| error.to_string())?, out),
    }
    Ok(())
}

fn quote(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    escape(text, b"\"\\", out);
    out.push(b'"');
}

/// Line ends stand for themselves only in quoted fields: elsewhere they become spaces.
fn escape(text: &str, special: &[u8], out: &mut Vec<u8>) {
    let quoted = special.contains(&b'"');
    for byte in text.bytes() {
        let byte = if !quoted && matches!(byte, b'\n' | b'\r') { b' ' } else { byte };
        if special.contains(&byte) {
            out.push(b'\\');
        }
        out.push(byte);
    }
}
