//! Texts to descriptors.

use std::collections::BTreeMap;
use std::sync::Arc;

use prost_reflect::DescriptorPool;
use protox::Compiler;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};

use super::{Schema, main_file};

/// How deep brackets may be nested: the parser uses the stack for them.
const MAX_DEPTH: usize = 64;

/// Compiles a schema. What it imports is one of its own files, another schema, or one of Google's well-known ones.
///
/// # Errors
/// The text says which file is wrong and why.
pub(super) fn compile(
    name: &str,
    files: &BTreeMap<String, String>,
    others: &BTreeMap<String, Arc<Schema>>,
) -> Result<DescriptorPool, String> {
    let mut texts = BTreeMap::new();
    for schema in others.values() {
        texts.extend(schema.files.iter().map(|(path, text)| (path.clone(), text.clone())));
    }
    texts.retain(|path, _| *path != main_file(name) && !path.starts_with(&format!("{name}/")));
    texts.extend(files.iter().map(|(path, text)| (path.clone(), text.clone())));
    if let Some((path, _)) = files.iter().find(|(_, text)| nested_too_deep(text)) {
        return Err(format!("{path}: nested deeper than {MAX_DEPTH} levels"));
    }
    let mut resolver = ChainFileResolver::new();
    resolver.add(Texts { name: name.to_owned(), texts });
    resolver.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler.include_imports(true);
    compiler.open_file(main_file(name)).map_err(|error| error.to_string())?;
    Ok(compiler.descriptor_pool())
}

/// Schemas in memory.
struct Texts {
    name: String,
    texts: BTreeMap<String, String>,
}

impl FileResolver for Texts {
    fn open_file(&self, path: &str) -> Result<File, protox::Error> {
        // A file beside the main one may be named without the folder.
        let text = self.texts.get(path).or_else(|| self.texts.get(&format!("{}/{path}", self.name)));
        File::from_source(path, text.ok_or_else(|| protox::Error::file_not_found(path))?)
    }
}

/// Whether the parser would need too much of the stack for a text.
pub(crate) fn nested_too_deep(text: &str) -> bool {
    depth(text) > MAX_DEPTH
}

/// How deep brackets are nested at most, strings and comments included.
fn depth(text: &str) -> usize {
    let mut open = 0_usize;
    let mut deepest = 0;
    for byte in text.bytes() {
        match byte {
            b'{' | b'[' | b'(' | b'<' => open += 1,
            b'}' | b']' | b')' | b'>' => open = open.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(open);
    }
    deepest
}
