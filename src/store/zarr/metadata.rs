//! What an array's metadata says, and those of an output like it.

use serde_json::{Map, Value, json};

use crate::ElementType;
use crate::store::npy;
use crate::store::sample::Sample;

/// Bytes of a chunk, at most, where nothing says how large one should be.
const CHUNK: usize = 8 << 20;
/// And its rows and columns.
const SIDE: usize = 1024;

/// Which version of Zarr, and so the name of its metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V2,
    V3,
}

impl Version {
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::V2 => ".zarray",
            Self::V3 => "zarr.json",
        }
    }
}

/// Metadata as they are written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Metadata {
    pub version: Version,
    pub json: Value,
    /// Of version 2, whose attributes are apart.
    pub attributes: Option<Value>,
}

/// What is read of them.
#[derive(Debug, PartialEq)]
pub(super) struct Said {
    pub shape: Vec<usize>,
    pub sample: Sample,
    /// Of the regular grid, if it is one: those that are files.
    pub chunks: Option<Vec<usize>>,
    /// Those within a shard.
    pub inner: Option<Vec<usize>>,
}

fn sizes(value: &Value) -> Option<Vec<usize>> {
    value.as_array()?.iter().map(|n| usize::try_from(n.as_u64()?).ok()).collect()
}

/// Whether the bytes of so many elements are a number, those of some axes alone too: one of no elements has others.
fn can_be_counted(sizes: &[usize], bytes: usize) -> bool {
    let some = sizes.iter().filter(|n| **n > 0).try_fold(bytes, |n, m| n.checked_mul(*m));
    some.is_some_and(|n| isize::try_from(n).is_ok())
}

/// The codec that makes chunks into shards.
fn sharding(codec: &Value) -> Option<&Value> {
    (codec["name"] == "sharding_indexed").then(|| &codec["configuration"])
}

fn name_of(element: ElementType) -> &'static str {
    match element {
        ElementType::F16 => "float16",
        ElementType::F32 => "float32",
        ElementType::F64 => "float64",
        ElementType::U8 => "uint8",
        ElementType::I8 => "int8",
        ElementType::U16 => "uint16",
        ElementType::I16 => "int16",
        ElementType::U32 => "uint32",
        ElementType::I32 => "int32",
    }
}

impl Metadata {
    /// Whether what is read of a chunk is what blosc packed.
    pub(super) fn packed_by_blosc(&self) -> bool {
        match self.version {
            Version::V2 => self.json["compressor"]["id"] == "blosc",
            Version::V3 => {
                let codecs = self.json["codecs"].as_array();
                codecs.and_then(|all| all.last()).is_some_and(|last| last["name"] == "blosc")
            }
        }
    }

    pub(super) fn parse(&self) -> Result<Said, String> {
        let json = &self.json;
        if self.version == Version::V3 && json["node_type"] == "group" {
            return Err("it is a group: name one of its arrays".into());
        }
        let shape = sizes(&json["shape"]).ok_or("its metadata tell no shape")?;
        let (sample, chunks) = match self.version {
            Version::V2 => {
                let code = json["dtype"].as_str().ok_or("its elements are records")?;
                (npy::sample(code)?, sizes(&json["chunks"]))
            }
            Version::V3 => {
                let name = json["data_type"].as_str().unwrap_or("of a type of its own");
                let plain =
                    ElementType::ALL.iter().copied().find(|element| name_of(*element) == name);
                let sample = match (plain, name) {
                    (Some(element), _) => Sample::Plain(element),
                    (None, "bool") => Sample::Bool,
                    (None, "int64") => Sample::I64,
                    (None, "uint64") => Sample::U64,
                    (None, name) => {
                        return Err(format!(
                            "its elements are {name}; floats of 16 to 64 bits, integers and bool \
                             are supported"
                        ));
                    }
                };
                let grid = &json["chunk_grid"];
                let regular = (grid["name"] == "regular").then(|| &grid["configuration"]);
                (sample, regular.and_then(|grid| sizes(&grid["chunk_shape"])))
            }
        };
        let codecs = json["codecs"].as_array();
        let shards = codecs.and_then(|codecs| codecs.iter().find_map(sharding));
        let inner = shards.and_then(|shards| sizes(&shards["chunk_shape"]));
        let others = |chunks: &Vec<usize>| chunks.len() != shape.len() || chunks.contains(&0);
        if chunks.iter().chain(&inner).any(others) {
            return Err("its chunks have other axes than its shape".into());
        }
        for (what, sizes) in
            [("shape", Some(&shape)), ("chunks", chunks.as_ref()), ("chunks", inner.as_ref())]
        {
            if let Some(sizes) = sizes.filter(|sizes| !can_be_counted(sizes, sample.bytes())) {
                return Err(format!("the elements of its {what} {sizes:?} cannot be counted"));
            }
        }
        Ok(Said { shape, sample, chunks, inner })
    }

    /// Those of an output of this shape and type, with the same codecs, attributes and names; in such chunks if that is
    /// said, else as they were.
    pub(super) fn of_output(
        &self,
        shape: &[usize],
        element: ElementType,
        chunks: Option<&[usize]>,
    ) -> Result<Self, String> {
        let said = self.parse()?;
        let asked = chunks.map(<[usize]>::to_vec);
        // Of an axis that is in one chunk, the output's is too.
        let like = |chunks: &Vec<usize>| -> Vec<usize> {
            let sizes = chunks.iter().zip(shape).zip(&said.shape);
            sizes.map(|((chunk, new), old)| if chunk >= old { *new } else { *chunk }).collect()
        };
        let mut json = self.json.clone();
        let same = Sample::Plain(element) == said.sample;
        json["shape"] = json!(shape);
        match self.version {
            Version::V2 => {
                let chunks = asked.or_else(|| said.chunks.as_ref().map(like));
                let chunks = chunks.ok_or("its metadata tell no chunks")?;
                json["chunks"] = json!(positive(&chunks));
                json["order"] = json!("C");
                let little = json["dtype"].as_str().is_none_or(|code| !code.starts_with('>'));
                json["dtype"] = json!(npy::code(element, if little { '<' } else { '>' }));
                if !same {
                    json["filters"] = Value::Null;
                }
                if !json["fill_value"].is_null() {
                    json["fill_value"] = fill(&json["fill_value"], element, same);
                }
            }
            Version::V3 => {
                let mut codecs = json["codecs"].as_array().cloned().unwrap_or_default();
                let shards = codecs.iter().find_map(sharding).cloned();
                let (chunks, inner) = match (asked, said.chunks, said.inner) {
                    (Some(asked), ..) => (asked, None),
                    (None, Some(chunks), Some(inner)) => {
                        // Shards are of whole chunks, those beyond the edge too.
                        let inner = positive(&like(&inner));
                        let shards = positive(&chunks).into_iter().zip(&inner);
                        (shards.map(|(n, inner)| n.next_multiple_of(*inner)).collect(), Some(inner))
                    }
                    (None, Some(chunks), None) => (like(&chunks), None),
                    // A grid of its own kind.
                    (None, None, _) => (usual(shape, element, 2), None),
                };
                if let Some(mut shards) = shards {
                    let inside = shards["codecs"].as_array().cloned().unwrap_or_default();
                    let inside = self::codecs(inside, element, same);
                    match inner {
                        Some(inner) => {
                            shards["chunk_shape"] = json!(inner);
                            shards["codecs"] = json!(inside);
                            let sharding = |codec: &mut Value| {
                                if codec["name"] == "sharding_indexed" {
                                    codec["configuration"] = shards.clone();
                                }
                            };
                            codecs.iter_mut().for_each(sharding);
                        }
                        None => codecs = inside,
                    }
                } else {
                    codecs = self::codecs(codecs, element, same);
                }
                json["codecs"] = json!(codecs);
                json["chunk_grid"] = json!({
                    "name": "regular", "configuration": {"chunk_shape": positive(&chunks)}
                });
                json["data_type"] = json!(name_of(element));
                json["fill_value"] = fill(&json["fill_value"], element, same);
            }
        }
        Ok(Self { json, attributes: self.attributes.clone(), ..*self })
    }

    /// Those of an output of something else: version 3, packed as zarr-python does it unless told otherwise. Its rows
    /// are along `rows`, columns along the axis behind.
    pub(super) fn new(
        shape: &[usize],
        element: ElementType,
        rows: usize,
        chunks: Option<&[usize]>,
    ) -> Self {
        let chunks =
            chunks.map_or_else(|| usual(shape, element, shape.len() - rows), <[usize]>::to_vec);
        let bytes = json!({"name": "bytes", "configuration": {"endian": "little"}});
        let zstd = json!({"name": "zstd", "configuration": {"level": 0, "checksum": false}});
        let json = json!({
            "zarr_format": 3,
            "node_type": "array",
            "shape": shape,
            "data_type": name_of(element),
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": positive(&chunks)}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": if element.is_integer() { json!(0) } else { json!(0.0) },
            "codecs": codecs(vec![bytes, zstd], element, false),
            "attributes": Map::new(),
        });
        Self { version: Version::V3, json, attributes: None }
    }
}

/// A chunk has one element along each axis at least, even of an array that has none.
fn positive(chunks: &[usize]) -> Vec<usize> {
    chunks.iter().map(|n| (*n).max(1)).collect()
}

/// One image, or plane, at a time, in squares that are halved until a chunk is small enough. `own` axes from the one of
/// rows on.
fn usual(shape: &[usize], element: ElementType, own: usize) -> Vec<usize> {
    let rows = shape.len() - own;
    let mut chunks = vec![1; shape.len()];
    chunks[rows..].copy_from_slice(&shape[rows..]);
    for side in &mut chunks[rows..rows + 2] {
        *side = (*side).min(SIDE);
    }
    let bytes = |chunks: &[usize]| chunks.iter().fold(element.bytes(), |n, m| n.saturating_mul(*m));
    while bytes(&chunks) > CHUNK && chunks[rows].max(chunks[rows + 1]) > 1 {
        let longer = if chunks[rows] >= chunks[rows + 1] { rows } else { rows + 1 };
        chunks[longer] = chunks[longer].div_ceil(2);
    }
    chunks
}

/// The same codecs for elements of another type: those that know it are told, or left out.
fn codecs(all: Vec<Value>, element: ElementType, same: bool) -> Vec<Value> {
    const OF_ANY_TYPE: [&str; 7] =
        ["bytes", "transpose", "blosc", "zstd", "gzip", "zlib", "crc32c"];
    let of_any = |codec: &Value| codec["name"].as_str().is_some_and(|n| OF_ANY_TYPE.contains(&n));
    let mut kept: Vec<Value> = all.into_iter().filter(|codec| same || of_any(codec)).collect();
    for codec in kept.iter_mut().filter(|_| !same) {
        if codec["name"] == "bytes" {
            *codec = match element.bytes() {
                1 => json!({"name": "bytes"}),
                _ => json!({"name": "bytes", "configuration": {"endian": "little"}}),
            };
        }
        if codec["name"] == "blosc" {
            codec["configuration"]["typesize"] = json!(element.bytes());
        }
    }
    kept
}

/// A fill value that a type holds: the same, or 0.
fn fill(value: &Value, element: ElementType, same: bool) -> Value {
    if same {
        return value.clone();
    }
    match element.integers() {
        Some(whole) => {
            let number = value.as_i64().or_else(|| {
                // A float that is whole.
                value
                    .as_f64()
                    .filter(|v| v.fract() == 0.0 && v.abs() < 2f64.powi(53))
                    .map(|v| v as i64)
            });
            json!(number.filter(|number| whole.contains(number)).unwrap_or(0))
        }
        None => match value {
            Value::String(name) if ["NaN", "Infinity", "-Infinity"].contains(&&name[..]) => {
                value.clone()
            }
            value => json!(value.as_f64().unwrap_or(0.0)),
        },
    }
}

#[cfg(test)]
mod tests;
