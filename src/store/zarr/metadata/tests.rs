use super::*;

fn v3(codecs: Value, fill_value: Value, chunks: Value) -> Metadata {
    let json = json!({
        "zarr_format": 3, "node_type": "array", "shape": [40, 50, 3], "data_type": "uint8",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunks}},
        "chunk_key_encoding": {"name": "default"}, "fill_value": fill_value, "codecs": codecs,
        "attributes": {"place": "here"}, "dimension_names": ["y", "x", null],
    });
    Metadata { version: Version::V3, json, attributes: None }
}

#[test]
fn outputs_are_like_inputs() {
    let blosc = json!({"name": "blosc", "configuration": {"cname": "lz4", "typesize": 1}});
    let delta = json!({"name": "numcodecs.delta", "configuration": {"dtype": "|u1"}});
    let plain = v3(json!([delta, {"name": "bytes"}, blosc]), json!(7), json!([16, 32, 3]));
    let said = plain.parse().unwrap();
    assert_eq!(said.shape, [40, 50, 3]);
    assert_eq!(said.sample, Sample::Plain(ElementType::U8));
    assert_eq!((said.chunks, said.inner), (Some(vec![16, 32, 3]), None));
    // Of the same type nothing changes but the shape, and what is whole stays so.
    let same = plain.of_output(&[38, 48, 6], ElementType::U8, None).unwrap();
    let mut json = plain.json.clone();
    json["shape"] = json!([38, 48, 6]);
    json["chunk_grid"]["configuration"]["chunk_shape"] = json!([16, 32, 6]);
    assert_eq!(same.json, json);
    let float = plain.of_output(&[40, 50, 3], ElementType::F32, Some(&[8, 8, 1])).unwrap();
    assert_eq!(float.json["data_type"], "float32");
    assert_eq!(float.json["fill_value"], 7.0);
    assert_eq!(float.json["dimension_names"], plain.json["dimension_names"]);
    assert_eq!(float.json["attributes"], json!({"place": "here"}));
    let codecs = float.json["codecs"].as_array().unwrap();
    assert_eq!(codecs.len(), 2);
    assert_eq!(codecs[0]["configuration"]["endian"], "little");
    assert_eq!(codecs[1]["configuration"]["typesize"], 4);
    assert_eq!(float.parse().unwrap().chunks, Some(vec![8, 8, 1]));
}

#[test]
fn shards_stay_shards() {
    let shards = json!({"name": "sharding_indexed", "configuration": {
        "chunk_shape": [8, 16, 3], "codecs": [{"name": "bytes"}, {"name": "zstd"}],
        "index_codecs": [{"name": "bytes"}, {"name": "crc32c"}],
    }});
    let sharded = v3(json!([shards]), json!(0), json!([32, 64, 3]));
    assert_eq!(sharded.parse().unwrap().inner, Some(vec![8, 16, 3]));
    let same = sharded.of_output(&[40, 50, 6], ElementType::U16, None).unwrap();
    let said = same.parse().unwrap();
    assert_eq!((said.chunks, said.inner), (Some(vec![32, 64, 6]), Some(vec![8, 16, 6])));
    let inside = &same.json["codecs"][0]["configuration"]["codecs"];
    assert_eq!(inside[0]["configuration"]["endian"], "little");
    // Other chunks are no shards.
    let other = sharded.of_output(&[40, 50, 3], ElementType::U8, Some(&[10, 50, 3])).unwrap();
    assert_eq!(other.parse().unwrap().inner, None);
    assert_eq!(other.json["codecs"], json!([{"name": "bytes"}, {"name": "zstd"}]));
}

#[test]
fn version_two() {
    let json = json!({
        "zarr_format": 2, "shape": [40, 50], "chunks": [40, 16], "dtype": ">f4", "order": "F",
        "compressor": {"id": "zstd", "level": 1}, "fill_value": "NaN", "filters": [{"id": "delta"}],
    });
    let attributes = Some(json!({"units": "m"}));
    let old = Metadata { version: Version::V2, json, attributes };
    let said = old.parse().unwrap();
    assert_eq!(said.sample, Sample::Plain(ElementType::F32));
    let same = old.of_output(&[38, 48], ElementType::F32, None).unwrap();
    assert_eq!((&same.json["dtype"], &same.json["order"]), (&json!(">f4"), &json!("C")));
    assert_eq!(same.json["chunks"], json!([38, 16]));
    assert_eq!(same.json["fill_value"], "NaN");
    assert_eq!(same.attributes, old.attributes);
    let bytes = old.of_output(&[40, 50], ElementType::U8, None).unwrap();
    assert_eq!((&bytes.json["dtype"], &bytes.json["fill_value"]), (&json!("|u1"), &json!(0)));
    assert_eq!(bytes.json["filters"], Value::Null);
    assert_eq!(bytes.json["compressor"], old.json["compressor"]);
}

#[test]
fn what_is_none_is_told() {
    let refused =
        |json: Value, version| Metadata { version, json, attributes: None }.parse().unwrap_err();
    assert!(refused(json!({"node_type": "group"}), Version::V3).contains("group"));
    let text = v3(json!([]), json!(""), json!([1, 1, 1])).json;
    let with = |key: &str, value: Value| {
        let mut json = text.clone();
        json[key] = value;
        refused(json, Version::V3)
    };
    assert!(with("data_type", json!("complex64")).contains("complex64"));
    assert!(with("shape", json!([1, 2])).contains("other axes"));
    assert!(with("shape", json!("x")).contains("no shape"));
    assert!(
        refused(json!({"shape": [1], "dtype": [["a", "<f4"]]}), Version::V2).contains("records")
    );
}

#[test]
fn new_ones_have_chunks_of_a_few_megabytes() {
    let chunks = |shape: &[usize], rows| {
        Metadata::new(shape, ElementType::F32, rows, None).parse().unwrap().chunks.unwrap()
    };
    assert_eq!(chunks(&[30_000, 20_000], 0), [1024, 1024]);
    assert_eq!(chunks(&[30_000, 20_000, 3], 0), [512, 1024, 3]);
    assert_eq!(chunks(&[4, 30_000, 20_000, 224], 1), [1, 64, 128, 224]);
    assert_eq!(chunks(&[4, 3, 300, 200], 2), [1, 1, 300, 200]);
    assert_eq!(chunks(&[0, 5, 0], 0), [1, 5, 1]);
    assert_eq!(
        Metadata::new(&[5, 5], ElementType::U8, 0, Some(&[2, 3])).parse().unwrap().chunks,
        Some(vec![2, 3])
    );
    assert_eq!(fill(&json!(-1), ElementType::U8, false), json!(0));
    assert_eq!(fill(&json!(3.0), ElementType::I16, false), json!(3));
    assert_eq!(fill(&json!("NaN"), ElementType::F64, false), json!("NaN"));
}
