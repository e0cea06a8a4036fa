//! Values to and from JavaScript. As in eKuiper a whole number comes back as a bigint, any other as a float.

use std::sync::Arc;

use edgeward_functions::{Map, Value};
use rquickjs::function::Constructor;
use rquickjs::{Array, Ctx, Exception, Filter, Object, Result, TypedArray, Value as Js};

/// Deeper values (or circular ones) are refused.
const MAX_DEPTH: u32 = 64;

/// Largest whole number a JavaScript number holds exactly.
const MAX_SAFE: f64 = 9_007_199_254_740_992.0;

/// A value for a script.
pub(super) fn to_js<'js>(ctx: &Ctx<'js>, value: &Value) -> Result<Js<'js>> {
    deeper_to_js(ctx, value, 0)
}

fn deeper_to_js<'js>(ctx: &Ctx<'js>, value: &Value, depth: u32) -> Result<Js<'js>> {
    check_depth(ctx, depth)?;
    Ok(match value {
        Value::Nil => Js::new_null(ctx.clone()),
        Value::Int(int) => Js::new_number(ctx.clone(), *int as f64),
        Value::Float(float) => Js::new_number(ctx.clone(), *float),
        Value::Bool(bool) => Js::new_bool(ctx.clone(), *bool),
        Value::Str(text) => rquickjs::String::from_str(ctx.clone(), text)?.into_value(),
        Value::Bytes(bytes) => TypedArray::<u8>::new_copy(ctx.clone(), &bytes[..])?.into_value(),
        Value::Time(time) => {
            let date: Constructor<'js> = ctx.globals().get("Date")?;
            date.construct((time.as_millisecond() as f64,))?
        }
        Value::Array(items) => {
            let array = Array::new(ctx.clone())?;
            for (index, item) in items.iter().enumerate() {
                array.set(index, deeper_to_js(ctx, item, depth + 1)?)?;
            }
            array.into_value()
        }
        Value::Map(map) => {
            let object = Object::new(ctx.clone())?;
            for (key, item) in map.iter() {
                object.set(&**key, deeper_to_js(ctx, item, depth + 1)?)?;
            }
            object.into_value()
        }
    })
}

/// What a script answered.
pub(super) fn from_js(value: &Js<'_>) -> Result<Value> {
    deeper_from_js(value, 0)
}

fn deeper_from_js(value: &Js<'_>, depth: u32) -> Result<Value> {
    check_depth(value.ctx(), depth)?;
    if value.is_null() || value.is_undefined() {
        return Ok(Value::Nil);
    }
    if let Some(bool) = value.as_bool() {
        return Ok(Value::Bool(bool));
    }
    if let Some(number) = value.as_number() {
        let whole = number.fract() == 0.0 && number.abs() <= MAX_SAFE;
        return Ok(if whole { Value::Int(number as i64) } else { Value::Float(number) });
    }
    if let Some(text) = value.as_string() {
        return Ok(Value::from(text.to_string()?));
    }
    if let Some(int) = value.as_big_int() {
        return int.clone().to_i64().map(Value::Int);
    }
    if let Some(array) = value.as_array() {
        let items: Result<Vec<Value>> = array.iter::<Js<'_>>().map(|item| deeper_from_js(&item?, depth + 1)).collect();
        return items.map(Value::array);
    }
    match value.as_object() {
        Some(object) if !value.is_function() => from_object(object, depth),
        _ => Err(Exception::throw_type(value.ctx(), &format!("a {} cannot be a value", value.type_name()))),
    }
}

fn from_object(object: &Object<'_>, depth: u32) -> Result<Value> {
    if let Some(bytes) = object.as_typed_array::<u8>() {
        // Element by element: a view of the buffer would need the promise that no script runs meanwhile.
        let bytes: Result<Vec<u8>> = (0..bytes.len()).map(|index| object.get(index.to_string())).collect();
        return bytes.map(Value::bytes);
    }
    let date: Js<'_> = object.ctx().globals().get("Date")?;
    if object.is_instance_of(&date) {
        let number: rquickjs::Function<'_> = object.get("getTime")?;
        let ms: f64 = number.call((rquickjs::function::This(object.clone()),))?;
        return Ok(if ms.is_finite() { Value::time_ms(ms as i64) } else { Value::Nil });
    }
    let mut map = Map::new();
    for entry in object.own_props::<String, Js<'_>>(Filter::new().string().enum_only()) {
        let (key, item) = entry?;
        map.insert(Arc::from(key), deeper_from_js(&item, depth + 1)?);
    }
    Ok(Value::map(map))
}

fn check_depth(ctx: &Ctx<'_>, depth: u32) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(Exception::throw_range(ctx, "the value is nested too deeply"));
    }
    Ok(())
}
