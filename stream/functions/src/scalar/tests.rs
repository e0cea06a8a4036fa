//! `function(JSON arguments) -> JSON result`, for every scalar function.

use std::borrow::Cow;

use crate::json::{Numbers, Printer, parse};
use crate::{Context, Value, lookup};

/// Runs one function; arguments are a JSON array in which whole numbers are integers. Answers what is wrong with the result.
fn check(name: &str, args: &str, expect: &str) -> Option<String> {
    let args = parse(args.as_bytes(), Numbers::WholeAsInt).unwrap();
    let args: Vec<Cow<'_, Value>> = args.as_array().unwrap().iter().map(Cow::Borrowed).collect();
    let function = lookup(name).unwrap_or_else(|| panic!("no function {name}"));
    assert!((function.min..=function.max).contains(&args.len()), "{name}");
    let context = Context { now: 1_700_000_000_123, rule_id: "r1".into(), rule_start: 5, ..Context::default() };
    let got = match function.call(&args, &context) {
        Ok(value) => Printer::default().text(&value).unwrap_or_else(|error| error.to_string()),
        Err(error) => error.to_string(),
    };
    (got != expect).then(|| format!("{name}{args:?} is\n    {got}, not\n    {expect}"))
}

fn table(cases: &[(&str, &str, &str)]) {
    let wrong: Vec<String> = cases.iter().filter_map(|(name, args, expect)| check(name, args, expect)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn math() {
    table(&[
        ("abs", "[-3]", "3"),
        ("abs", "[-3.5]", "3.5"),
        ("abs", "[null]", "null"),
        ("abs", "[\"x\"]", "call func abs error: only float64 & int type are supported"),
        ("acos", "[1]", "0"),
        ("asin", "[0]", "0"),
        ("atan", "[0]", "0"),
        ("atan2", "[0,1]", "0"),
        ("cos", "[0]", "1"),
        ("cosh", "[0]", "1"),
        ("sin", "[0]", "0"),
        ("sinh", "[0]", "0"),
        ("tan", "[0]", "0"),
        ("tanh", "[0]", "0"),
        ("cot", "[0.7853981633974483]", "1"),
        ("bitand", "[6,3]", "2"),
        ("bitor", "[6,3]", "7"),
        ("bitxor", "[6,3]", "5"),
        ("bitnot", "[0]", "-1"),
        ("bitand", "[6,null]", "null"),
        ("ceil", "[1.2]", "2"),
        ("ceiling", "[1.2]", "2"),
        ("floor", "[-1.2]", "-2"),
        ("exp", "[0]", "1"),
        ("degrees", "[0]", "0"),
        ("radians", "[0]", "0"),
        ("ln", "[1]", "0"),
        ("ln", "[-1]", "null"),
        ("log", "[100]", "2"),
        ("log", "[2,8]", "3"),
        ("sqrt", "[9]", "3"),
        ("sqrt", "[-9]", "null"),
        ("mod", "[7.5,2]", "1.5"),
        ("pi", "[]", "3.141592653589793"),
        ("power", "[2,10]", "1024"),
        ("pow", "[2,0.5]", "1.4142135623730951"),
        ("round", "[2.5]", "3"),
        ("round", "[-2.5]", "-3"),
        ("round", "[2.345,2]", "2.35"),
        ("round", "[7]", "7"),
        ("round", "[123.4,-1]", "120"),
        ("sign", "[-2.5]", "-1"),
        ("sign", "[0]", "0"),
        ("trunc", "[2.999,2]", "3"),
        ("conv", "[\"ff\",16,10]", "\"255\""),
        ("conv", "[10,10,2]", "\"1010\""),
        ("conv", "[-1,10,16]", "\"FFFFFFFFFFFFFFFF\""),
        ("conv", "[-10,10,-16]", "\"-A\""),
        ("conv", "[1,1,2]", "null"),
        ("hex2dec", "[\"0x10\"]", "16"),
        ("hex2dec", "[\"zz\"]", "call func hex2dec error: invalid hexadecimal value: zz"),
        ("dec2hex", "[16]", "\"0x10\""),
    ]);
}

#[test]
fn strings() {
    table(&[
        ("concat", "[\"a\",1,2.5,true]", "\"a12.5true\""),
        ("concat", "[[1],[2,3]]", "[1,2,3]"),
        ("concat", "[\"a\",null]", "null"),
        ("endswith", "[\"abc\",\"bc\"]", "true"),
        ("endswith", "[null,\"bc\"]", "false"),
        ("startswith", "[\"abc\",\"ab\"]", "true"),
        ("indexof", "[\"abc\",\"c\"]", "2"),
        ("indexof", "[\"abc\",\"x\"]", "-1"),
        ("indexof", "[null,\"x\"]", "-1"),
        ("length", "[\"müde\"]", "4"),
        ("length", "[null]", "0"),
        ("length", "[[1,2]]", "2"),
        ("length", "[{\"a\":1}]", "1"),
        ("numbytes", "[\"müde\"]", "5"),
        ("numbytes", "[null]", "0"),
        ("lower", "[\"ABC\"]", "\"abc\""),
        ("upper", "[\"abc\"]", "\"ABC\""),
        ("lpad", "[\"a\",2]", "\"  a\""),
        ("rpad", "[\"a\",2]", "\"a  \""),
        ("lpad", "[\"a\",-2]", "\"a\""),
        ("lpad", "[\"a\",99999999]", "call func lpad error: parameter 2 is 99999999, at most 1000000 is allowed"),
        ("ltrim", "[\" a \"]", "\"a \""),
        ("rtrim", "[\" a \"]", "\" a\""),
        ("trim", "[\" a \"]", "\"a\""),
        ("regexp_matches", "[\"foobar\",\"^foo.*r$\"]", "true"),
        ("regexp_matches", "[null,\"a\"]", "false"),
        ("regexp_replace", "[\"aab\",\"a+\",\"x\"]", "\"xb\""),
        ("regexp_substr", "[\"xx12y\",\"[0-9]+\"]", "\"12\""),
        ("regexp_substr", "[\"x\",\"y\"]", "\"\""),
        ("reverse", "[\"añb\"]", "\"bña\""),
        ("substring", "[\"foobar\",3]", "\"bar\""),
        ("substring", "[\"foobar\",0,3]", "\"foo\""),
        ("substring", "[\"foo\",9]", "\"\""),
        ("substring", "[\"foo\",1,99]", "\"oo\""),
        ("substring", "[\"foo\",2,1]", "call func substring error: start index must be smaller than end index"),
        ("substring", "[\"foo\",-1]", "call func substring error: start index must be a positive number"),
        ("split_value", "[\"a,b,c\",\",\",1]", "\"b\""),
        ("split_value", "[\"a,b\",\",\",2]", "call func split_value error: 2 out of index array (size = 2)"),
        ("format", "[1234567.891,2]", "\"1234567.89\""),
        ("format", "[1234567.891,2,\"en_US\"]", "\"1,234,567.89\""),
        ("format", "[-1234.5,1,\"de_DE\"]", "\"-1.234,5\""),
        ("format", "[123456,0,\"en_US\"]", "\"123,456\""),
    ]);
}

#[test]
fn arrays() {
    table(&[
        ("array_create", "[1,\"a\"]", "[1,\"a\"]"),
        ("array_create", "[1,null]", "null"),
        ("array_position", "[[1,2,1],1]", "0"),
        ("array_last_position", "[[1,2,1],1]", "2"),
        ("array_position", "[[1],3]", "-1"),
        ("array_position", "[null,3]", "-1"),
        ("element_at", "[[1,2,3],-1]", "3"),
        ("element_at", "[{\"a\":5},\"a\"]", "5"),
        ("element_at", "[[1],3]", "call func element_at error: index out of range"),
        ("array_contains", "[[1,2],2]", "true"),
        ("array_contains", "[[],2]", "null"),
        ("array_contains_any", "[[1,2],[2,3]]", "true"),
        ("array_contains_any", "[null,[2]]", "false"),
        ("array_remove", "[[1,2,1],1]", "[2]"),
        ("array_intersect", "[[1,2,2],[2]]", "[2]"),
        ("array_union", "[[1,2],[2,3]]", "[1,2,3]"),
        ("array_except", "[[1,1,2],[2]]", "[1]"),
        ("array_max", "[[1,3,2]]", "3"),
        ("array_min", "[[1,3,2]]", "1"),
        ("array_max", "[[1,null]]", "null"),
        ("repeat", "[\"ab\",2]", "[\"ab\",\"ab\"]"),
        ("sequence", "[1,5,2]", "[1,3,5]"),
        ("sequence", "[3,1]", "[3,2,1]"),
        ("sequence", "[1,5,0]", "call func sequence error: invalid step: should not be zero"),
        ("cardinality", "[[1,2]]", "2"),
        ("array_cardinality", "[null]", "0"),
        ("array_flatten", "[[[1],[2,[3]]]]", "[1,2,[3]]"),
        ("array_distinct", "[[1,1,1.5,\"1\"]]", "[1,1.5,\"1\"]"),
        ("array_map", "[\"round\",[1.2,2.7]]", "[1,3]"),
        ("array_join", "[[\"a\",null,\"b\"],\"-\"]", "\"a-b\""),
        ("array_join", "[[\"a\",null],\"-\",\"?\"]", "\"a-?\""),
        ("array_sort", "[[10,9,1]]", "[1,10,9]"),
        ("array_concat", "[[1],[2]]", "[1,2]"),
        ("kvpair_array_to_obj", "[[{\"key\":\"a\",\"value\":1}]]", "{\"a\":1}"),
    ]);
}

#[test]
fn objects() {
    table(&[
        ("keys", "[{\"a\":1,\"b\":2}]", "[\"a\",\"b\"]"),
        ("values", "[{\"a\":1,\"b\":2}]", "[1,2]"),
        ("items", "[{\"a\":1}]", "[[\"a\",1]]"),
        ("keys", "[{}]", "null"),
        ("object", "[[\"a\",\"b\"],[1,2]]", "{\"a\":1,\"b\":2}"),
        ("zip", "[[[\"a\",1]]]", "{\"a\":1}"),
        ("object_concat", "[{\"a\":1},{\"a\":2,\"b\":3}]", "{\"a\":2,\"b\":3}"),
        ("object_construct", "[\"a\",1,null,2,\"c\",null]", "{\"a\":1,\"c\":null}"),
        ("erase", "[{\"a\":1,\"b\":2},\"a\"]", "{\"b\":2}"),
        ("erase", "[{\"a\":1,\"b\":2},[\"a\",\"b\"]]", "{}"),
        ("object_pick", "[{\"a\":1,\"b\":2},[\"b\"]]", "{\"b\":2}"),
        ("object_size", "[{\"a\":1}]", "1"),
        ("object_size", "[null]", "0"),
        ("obj_to_kvpair_array", "[{\"a\":1}]", "[{\"key\":\"a\",\"value\":1}]"),
    ]);
}

#[test]
fn times() {
    table(&[
        ("now", "[]", "\"2023-11-14 22:13:20\""),
        ("now", "[3]", "\"2023-11-14 22:13:20.123\""),
        ("current_timestamp", "[]", "\"2023-11-14 22:13:20\""),
        ("cur_date", "[]", "\"2023-11-14\""),
        ("current_time", "[]", "\"22:13:20\""),
        ("tstamp", "[]", "1700000000123"),
        ("format_time", "[0,\"yyyy-MM-dd\"]", "\"1970-01-01\""),
        ("date_calc", "[\"2024-01-01 00:00:00\",\"-1h30m\"]", "\"2023-12-31 22:30:00\""),
        ("date_calc", "[0,\"x\"]", "call func date_calc error: time: invalid duration \"x\""),
        ("date_diff", "[0,1000]", "1000000000"),
        ("day_name", "[0]", "\"Thursday\""),
        ("day_of_month", "[0]", "1"),
        ("day", "[0]", "1"),
        ("day_of_week", "[0]", "4"),
        ("day_of_year", "[\"2024-02-01\"]", "32"),
        ("month", "[\"2024-02-01\"]", "2"),
        ("month_name", "[\"2024-02-01\"]", "\"February\""),
        ("hour", "[3600000]", "1"),
        ("minute", "[60000]", "1"),
        ("second", "[1500]", "1"),
        ("microsecond", "[1500]", "500000"),
        ("last_day", "[\"2024-02-10\"]", "\"2024-02-29\""),
        ("to_seconds", "[1500]", "1"),
        ("from_days", "[1]", "\"1970-01-02\""),
        ("from_unix_time", "[1]", "\"1970-01-01 00:00:01\""),
        ("convert_tz", "[0,\"Asia/Shanghai\"]", "\"1970-01-01T08:00:00+08:00\""),
        ("convert_tz", "[0,\"x\"]", "call func convert_tz error: unknown time zone x"),
        ("hour", "[null]", "null"),
        ("hour", "[\"x\"]", "call func hour error: Can't parse string as time: x"),
    ]);
}

#[test]
fn transform_hash_json_and_others() {
    table(&[
        ("cast", "[1.9,\"bigint\"]", "1"),
        ("cast", "[\"12\",\"bigint\"]", "12"),
        ("cast", "[\"1.5\",\"float\"]", "1.5"),
        ("cast", "[1.5,\"string\"]", "\"1.5\""),
        ("cast", "[\"t\",\"boolean\"]", "true"),
        ("cast", "[0,\"boolean\"]", "false"),
        ("cast", "[\"hi\",\"bytea\"]", "\"aGk=\""),
        ("cast", "[1500,\"datetime\"]", "\"1970-01-01T00:00:01.5Z\""),
        ("cast", "[null,\"bigint\"]", "null"),
        ("cast", "[\"x\",\"bigint\"]", "call func cast error: cannot convert string(x) to int64"),
        ("md5", "[\"a\"]", "\"0cc175b9c0f1b6a831c399e269772661\""),
        ("sha1", "[\"a\"]", "\"86f7e437faa5a7fce15d1ddcb9eaeaea377667b8\""),
        ("sha256", "[\"a\"]", "\"ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb\""),
        ("crc32", "[\"a\"]", "\"e8b7be43\""),
        ("encode", "[\"hi\",\"base64\"]", "\"aGk=\""),
        ("decode", "[\"aGk=\",\"base64\"]", "\"aGk=\""),
        ("encode", "[\"hi\",\"hex\"]", "call func encode error: Only base64 encoding is supported."),
        ("to_json", "[{\"a\":[1,null]}]", "\"{\\\"a\\\":[1,null]}\""),
        ("to_json", "[null]", "\"null\""),
        ("parse_json", "[\"{\\\"a\\\":1}\"]", "{\"a\":1}"),
        ("parse_json", "[\"null\"]", "null"),
        ("json_path_query", "[{\"a\":[{\"b\":1},{\"b\":2}]},\"$.a[*].b\"]", "[1,2]"),
        ("json_path_query", "[{\"a\":[5,6]},\"$.a[1]\"]", "6"),
        ("json_path_query", "[{\"a\":[{\"b\":1},{\"b\":2}]},\"$.a[?(@.b > 1)]\"]", "[{\"b\":2}]"),
        ("json_path_query", "[{\"a\":{\"b\":1},\"b\":2},\"$..b\"]", "[2,1]"),
        ("json_path_query_first", "[{\"a\":[1,2,3]},\"$.a[1:]\"]", "2"),
        ("json_path_exists", "[{\"a\":1},\"$.b\"]", "false"),
        ("json_path_exists", "[{\"a\":1},\"$['a']\"]", "true"),
        ("json_path_exists", "[{\"a\":1},\"a\"]", "false"),
        ("chr", "[\"a\"]", "97"),
        ("isnull", "[null]", "true"),
        ("coalesce", "[null,2,3]", "2"),
        ("rule_id", "[]", "\"r1\""),
        ("rule_start", "[]", "5"),
        ("bypass", "[null]", "null"),
    ]);
}

#[test]
fn compression_survives_a_round_trip() {
    for algorithm in ["zlib", "gzip", "flate", "zstd"] {
        let [text, algorithm] = [Value::str("hello hello hello"), Value::str(algorithm)];
        let call = |name: &str, value: &Value| {
            lookup(name).unwrap().call(&[Cow::Borrowed(value), Cow::Borrowed(&algorithm)], &Context::default()).unwrap()
        };
        let packed = call("compress", &text);
        assert_ne!(packed, Value::bytes(&b"hello hello hello"[..]));
        assert_eq!(call("decompress", &packed), Value::bytes(&b"hello hello hello"[..]));
    }
}

#[test]
fn random_ones_have_their_shape() {
    let call = |name: &str| lookup(name).unwrap().call(&[], &Context::default()).unwrap();
    assert!((0.0..1.0).contains(&call("rand").as_f64().unwrap()));
    assert_eq!(call("newuuid").as_str().unwrap().len(), 36);
}

mod hostile {
    use proptest::prelude::*;

    use super::*;
    use crate::{Run, names};

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Nil),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            (-3..40i64).prop_map(Value::Int),
            any::<f64>().prop_map(Value::Float),
            any::<String>().prop_map(Value::from),
            "[$.a-c0-9:\\[\\]%-]{0,8}".prop_map(Value::from),
            r#"\$(\.\.?[ab*]|\[[0-9:,*'"-]{1,4}\]|\[\?[@(!$.ab<=&|1'"]{1,9}\]){1,3}"#.prop_map(Value::from),
            r"[yMdHhmsSaEzZX'.: -]{0,12}".prop_map(Value::from),
            any::<Vec<u8>>().prop_map(Value::bytes),
            any::<i64>().prop_map(Value::time_ms),
        ];
        leaf.prop_recursive(2, 8, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::array),
                proptest::collection::btree_map("[a-c]".prop_map(|key| key.into()), inner, 0..3).prop_map(Value::map),
            ]
        })
    }

    #[test]
    fn endless_conditions_are_refused() {
        let nested = format!("$[?{}", "@[?".repeat(100_000));
        let chained = format!("$[?@{}]", "||@".repeat(100_000));
        let descents = format!("${}", "..*".repeat(40));
        let deep = parse(format!("{}1{}", "[".repeat(40), "]".repeat(40)).as_bytes(), Numbers::Float).unwrap();
        for path in [nested, chained, descents] {
            let result = lookup("json_path_query")
                .unwrap()
                .call(&[Cow::Borrowed(&deep), Cow::Owned(path.into())], &Context::default());
            assert!(result.is_err());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        /// Whatever the arguments are, every function has a value or an error; aggregates too, and their state survives.
        #[test]
        fn no_argument_makes_a_function_panic(rows in proptest::collection::vec(proptest::collection::vec(any_value(), 4), 1..3)) {
            for name in names() {
                let function = lookup(name).unwrap();
                let count = function.min.max(function.max.min(4)).min(4);
                let args = |row: &'_ [Value]| row[..count].iter().map(|value| Cow::Owned(value.clone())).collect::<Vec<Cow<'static, Value>>>();
                match function.run {
                    Run::Scalar(_) => drop(function.call(&args(&rows[0]), &Context::default())),
                    Run::Aggregate(make) => {
                        let (mut aggregate, mut copy) = (make(), make());
                        let added = rows.iter().try_for_each(|row| aggregate.add(&args(row)));
                        copy.load(&aggregate.save());
                        if added.is_ok() && let (Ok(one), Ok(other)) = (aggregate.result(), copy.result()) {
                            // NaN equals nothing, so the printed forms are compared.
                            prop_assert_eq!(crate::format::GoText(&one).to_string(), crate::format::GoText(&other).to_string(), "{}", name);
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}
