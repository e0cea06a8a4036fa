//! CREATE, SHOW, DESCRIBE, EXPLAIN, DROP. Their words are plain identifiers elsewhere.

use super::Parser;
use crate::ast::{CreateStream, DataType, Expr, Field, Statement, StreamKind, StreamOptions, TableKind};
use crate::error::{Result, SqlError};
use crate::lexer::{Keyword, Kind};

impl Parser<'_> {
    pub(super) fn create(&mut self) -> Result<Statement> {
        self.at += 1;
        let (kind, name) = self.stream_name()?;
        let fields = if self.eat("(") {
            self.list(Parser::declared)?
        } else {
            return self.expected("lparen after stream name");
        };
        if !self.word("WITH") {
            return self.expected("WITH");
        }
        let options = self.options()?;
        check(kind, &name, &fields, &options)?;
        Ok(Statement::Create(Box::new(CreateStream { kind, name, fields, options })))
    }

    /// `STREAM|TABLE name`.
    pub(super) fn stream_name(&mut self) -> Result<(StreamKind, String)> {
        let kind = if self.word("STREAM") {
            StreamKind::Stream
        } else if self.word("TABLE") {
            StreamKind::Table
        } else {
            return self.expected("keyword stream or table");
        };
        Ok((kind, self.ident()?))
    }

    /// `STREAMS|TABLES`.
    pub(super) fn stream_kinds(&mut self) -> Result<(StreamKind, String)> {
        if self.word("STREAMS") {
            Ok((StreamKind::Stream, String::new()))
        } else if self.word("TABLES") {
            Ok((StreamKind::Table, String::new()))
        } else {
            self.expected("keyword streams or tables")
        }
    }

    fn declared(&mut self) -> Result<Field> {
        let name = self.ident()?;
        let data_type = self.nested(Parser::data_type)?;
        let default = if self.keyword(Keyword::Default) { Some(self.literal()?) } else { None };
        Ok(Field { name, data_type, default })
    }

    fn literal(&mut self) -> Result<Expr> {
        let literal = match self.peek() {
            Kind::Int(int) => Expr::Int(*int),
            Kind::Number(float) => Expr::Float(*float),
            Kind::Str(text) => Expr::Str(text.clone()),
            Kind::Keyword(Keyword::True) => Expr::Bool(true),
            Kind::Keyword(Keyword::False) => Expr::Bool(false),
            _ => return self.expected("literal after DEFAULT"),
        };
        self.at += 1;
        Ok(literal)
    }

    fn data_type(&mut self) -> Result<DataType> {
        let found = self.found();
        let Kind::Ident(word, _) = self.peek() else {
            return self.expected(
                "valid stream field types(BIGINT | FLOAT | STRING | BYTEA | DATETIME | BOOLEAN | ARRAY | STRUCT)",
            );
        };
        let word = word.to_ascii_uppercase();
        self.at += 1;
        Ok(match word.as_str() {
            "BIGINT" => DataType::Bigint,
            "FLOAT" => DataType::Float,
            "STRING" => DataType::String,
            "BYTEA" => DataType::Bytea,
            "DATETIME" => DataType::Datetime,
            "BOOLEAN" => DataType::Boolean,
            "ARRAY" => {
                self.expect("(")?;
                let item = self.nested(Parser::data_type)?;
                self.expect(")")?;
                DataType::Array(Box::new(item))
            }
            "STRUCT" => {
                self.expect("(")?;
                DataType::Struct(self.list(Parser::declared)?)
            }
            _ => {
                let expected =
                    "valid stream field types(BIGINT | FLOAT | STRING | BYTEA | DATETIME | BOOLEAN | ARRAY | STRUCT)";
                return Err(SqlError::Expected { found, expected });
            }
        })
    }

    /// `(KEY = "value" [,] …)`; commas are optional and one may trail.
    fn options(&mut self) -> Result<StreamOptions> {
        self.expect("(")?;
        let mut options = StreamOptions::default();
        while !self.eat(")") {
            let Kind::Ident(key, _) = self.peek() else { return self.expected("option name") };
            let key = key.to_ascii_uppercase();
            self.at += 1;
            self.expect("=")?;
            let value = match self.peek() {
                Kind::Str(value) => value.clone(),
                Kind::Keyword(Keyword::True) => "TRUE".to_string(),
                Kind::Keyword(Keyword::False) => "FALSE".to_string(),
                _ => return self.expected("string value in option"),
            };
            self.at += 1;
            set(&mut options, &key, value)?;
            self.eat(",");
        }
        Ok(options)
    }
}

fn set(options: &mut StreamOptions, key: &str, value: String) -> Result<()> {
    let text = match key {
        "DATASOURCE" => &mut options.datasource,
        "KEY" => &mut options.key,
        "FORMAT" => &mut options.format,
        "CONF_KEY" => &mut options.conf_key,
        "TYPE" => &mut options.source_type,
        "TIMESTAMP" => &mut options.timestamp,
        "TIMESTAMP_FORMAT" => &mut options.timestamp_format,
        "SCHEMAID" => &mut options.schema_id,
        "DELIMITER" => &mut options.delimiter,
        "VERSION" => &mut options.version,
        "EXTRA" => &mut options.extra,
        _ => return set_typed(options, key, &value),
    };
    *text = Some(value);
    Ok(())
}

fn set_typed(options: &mut StreamOptions, key: &str, value: &str) -> Result<()> {
    let truth = || match value.to_ascii_uppercase().as_str() {
        "TRUE" => Ok(true),
        "FALSE" => Ok(false),
        _ => Err(SqlError::Clause(format!("found {value:?}, expect TRUE/FALSE value in {key} option."))),
    };
    match key {
        "STRICT_VALIDATION" => options.strict_validation = truth()?,
        "SHARED" => options.shared = truth()?,
        "TEMP" => options.temp = truth()?,
        "RETAIN_SIZE" => {
            let size = value.parse().map_err(|_| {
                SqlError::Clause(format!("found {value:?}, expect number value in RETAIN_SIZE option."))
            })?;
            options.retain_size = Some(size);
        }
        "KIND" => {
            options.kind = Some(match value.to_ascii_lowercase().as_str() {
                "scan" => TableKind::Scan,
                "lookup" => TableKind::Lookup,
                _ => {
                    return Err(SqlError::Clause(format!(
                        "found {value:?}, expect \"scan\" or \"lookup\" in KIND option."
                    )));
                }
            });
        }
        _ => {
            let known = "DATASOURCE|FORMAT|KEY|CONF_KEY|SHARED|STRICT_VALIDATION|TYPE|TIMESTAMP|TIMESTAMP_FORMAT|RETAIN_SIZE|SCHEMAID|KIND|DELIMITER|VERSION|TEMP|EXTRA";
            return Err(SqlError::Clause(format!("found {key:?}, unknown option keys({known}).")));
        }
    }
    Ok(())
}

/// What a definition must hold beyond its grammar (`validateStream` of eKuiper 2.4).
fn check(kind: StreamKind, name: &str, fields: &[Field], options: &StreamOptions) -> Result<()> {
    if options.kind.is_some() && kind == StreamKind::Stream {
        return Err(SqlError::Clause("'kind' property is only supported for table.".into()));
    }
    if !options.format.as_deref().is_some_and(|format| format.eq_ignore_ascii_case("binary")) {
        return Ok(());
    }
    if kind == StreamKind::Table {
        return Err(SqlError::Clause("'binary' format is not supported for table".into()));
    }
    match fields {
        [] => Ok(()),
        [field] if field.data_type == DataType::Bytea => Ok(()),
        [_] => Err(SqlError::Clause(format!("'binary' format stream {name} can have only 'bytea' type field"))),
        _ => Err(SqlError::Clause(format!("'binary' format stream {name} can have only one field"))),
    }
}
