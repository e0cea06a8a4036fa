//! How far the files of a source were read, as checkpoints keep it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use edgeward_engine::{Map, Value};

/// The files that were read to their end and are still there, each with the time of its last change (ms since 1970), and the
/// one that was begun with how many of its messages were sent.
#[derive(Debug, Default)]
pub(super) struct Progress {
    finished: Arc<Map>,
    begun: Option<(PathBuf, usize)>,
}

impl Progress {
    /// That of a message's position.
    pub(super) fn read(position: &Value) -> Option<Progress> {
        let [Value::Map(finished), Value::Str(path), Value::Int(sent)] = position.as_array()? else { return None };
        // What is gone meanwhile is forgotten; a file of the same name would be another one.
        let there = finished.iter().filter(|(path, time)| changed(Path::new(&***path)).as_ref() == Some(*time));
        let finished = there.map(|(path, time)| (path.clone(), time.clone())).collect();
        Some(Progress {
            finished: Arc::new(finished),
            begun: Some((Path::new(&**path).into(), usize::try_from(*sent).ok()?)),
        })
    }

    /// The position behind so many messages of a file.
    pub(super) fn position(&self, path: &Arc<str>, sent: usize) -> Value {
        Value::array(vec![Value::Map(self.finished.clone()), Value::Str(path.clone()), Value::Int(sent as i64)])
    }

    /// What is left of these files, the one that was begun first.
    pub(super) fn rest(&self, mut files: Vec<PathBuf>) -> Vec<PathBuf> {
        files.retain(|file| file.to_str().is_none_or(|path| !self.finished.contains_key(path)));
        files.sort_by_key(|file| self.begun.as_ref().is_none_or(|(begun, _)| begun != file));
        files
    }

    /// How many messages of a file were sent before; asked once.
    pub(super) fn take_sent(&mut self, path: &Path) -> usize {
        self.begun.take_if(|(begun, _)| begun == path).map_or(0, |(_, sent)| sent)
    }

    /// A file was read to its end.
    pub(super) fn finish(&mut self, path: &Arc<str>) {
        if let Some(time) = changed(Path::new(&**path)) {
            Arc::make_mut(&mut self.finished).insert(path.clone(), time);
        }
    }
}

/// When a file was last changed; none if it is gone.
fn changed(path: &Path) -> Option<Value> {
    let time = std::fs::metadata(path).ok()?.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(time.as_millis()).ok().map(Value::Int)
}
