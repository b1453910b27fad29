//! The kinds of collections, as they are posted.

use serde_json::{Value, json};
use uuid::Uuid;

pub struct Kind {
    pub name: &'static str,
    pub definition: Value,
    /// Members of the definition that can only be set afterwards.
    pub update: Option<Value>,
    /// With their states.
    pub tenants: Vec<(&'static str, &'static str)>,
    pub objects: Vec<Value>,
    /// What follows the class in their names.
    pub aliases: Vec<&'static str>,
    /// How a restore ends: 3 if something cannot come back.
    pub exit_code: u8,
    /// Properties that cannot come back.
    pub ignored: Vec<&'static str>,
    /// True if it depends on how the server was started.
    pub may_be_refused: bool,
    /// Older servers may refuse it.
    pub since: (u32, u32),
}

fn kind(name: &'static str, definition: Value, objects: impl IntoIterator<Item = Value>) -> Kind {
    Kind {
        name,
        definition,
        update: None,
        tenants: Vec::new(),
        objects: objects.into_iter().collect(),
        aliases: Vec::new(),
        exit_code: 0,
        ignored: Vec::new(),
        may_be_refused: false,
        since: (1, 27),
    }
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn property(name: &str, data_type: &str) -> Value {
    json!({"name": name, "dataType": [data_type]})
}

fn class(properties: Vec<Value>) -> Value {
    json!({"vectorizer": "none", "properties": properties})
}

/// An object for each set of properties.
fn objects(values: Vec<Value>) -> Vec<Value> {
    let object =
        |(index, properties)| json!({"id": id(index as u128 + 1), "properties": properties});
    values.into_iter().enumerate().map(object).collect()
}

fn legacy(count: u32) -> Vec<Value> {
    (0..count)
        .map(|index| json!({"id": id(u128::from(index) * 7), "properties": {"title": format!("é{index}"), "views": index},
            "vector": [index, -0.0, 1e-45, 3.4028235e38, 0.33333334, 16777216]}))
        .collect()
}

fn plain() -> Value {
    class(vec![property("title", "text"), property("views", "int")])
}

fn index(kind: &str) -> Value {
    json!({"vectorizer": {"none": {}}, "vectorIndexType": kind})
}

fn multi() -> Value {
    json!({"vectorizer": {"none": {}}, "vectorIndexType": "hnsw", "vectorIndexConfig": {"multivector": {"enabled": true}}})
}

fn every_type() -> Kind {
    let types = ["text", "int", "number", "boolean", "date", "uuid"];
    let mut properties: Vec<Value> = types.map(|name| property(name, name)).to_vec();
    properties.extend(types.map(|name| property(&format!("{name}s"), &format!("{name}[]"))));
    properties.extend([
        property("place", "geoCoordinates"),
        property("phone", "phoneNumber"),
        property("raw", "blob"),
    ]);
    properties.push(json!({"name": "object", "dataType": ["object"], "nestedProperties": [property("t", "text")]}));
    properties.push(json!({"name": "objects", "dataType": ["object[]"], "nestedProperties": [property("t", "text")]}));
    let (day, uuid) = (
        "2024-02-29T12:00:00Z",
        "8a3b0b4e-0b5f-4a43-9d5f-7d5f6f3a1b2c",
    );
    let full = json!({"text": "x", "int": 1, "number": 1.5, "boolean": true, "date": day, "uuid": uuid,
        "texts": ["a", "b"], "ints": [1, 2], "numbers": [1.5, 2.5], "booleans": [true, false], "dates": [day], "uuids": [uuid],
        "place": {"latitude": 52.39, "longitude": -4.83}, "phone": {"input": "020 1234567", "defaultCountry": "nl"},
        "raw": "aGVsbG8=", "object": {"t": "x"}, "objects": [{"t": "x"}, {"t": "y"}]});
    let singles = full
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| json!({(name): value}));
    let mut values: Vec<Value> = singles.collect();
    values.push(full);
    values.push(json!({}));
    kind("every data type", class(properties), objects(values))
}

fn numbers() -> Kind {
    let properties = vec![
        property("i", "int"),
        property("is", "int[]"),
        property("n", "number"),
        property("ns", "number[]"),
    ];
    let ints = [
        i64::MIN,
        i64::MAX,
        -1,
        0,
        (1 << 53) - 1,
        1 << 53,
        (1 << 53) + 1,
        1 << 62,
    ];
    let floats = [
        -0.0,
        0.0,
        f64::MAX,
        f64::MIN,
        f64::MIN_POSITIVE,
        5e-324,
        1e21,
        1e20,
        1e-7,
        0.1,
        9007199254740993.0,
    ];
    let mut values: Vec<Value> = ints
        .iter()
        .map(|int| json!({"i": int, "is": [int, 0]}))
        .collect();
    values.extend(
        floats
            .iter()
            .map(|float| json!({"n": float, "ns": [float, 1]})),
    );
    kind(
        "numbers at their limits",
        class(properties),
        objects(values),
    )
}

fn dates() -> Kind {
    let texts = [
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999999Z",
        "2024-02-29T23:59:59.1+05:30",
        "2024-02-29T23:59:59.123456789-11:00",
        "1969-12-31T23:59:59.000000001Z",
        "2024-06-30T12:00:00+00:00",
        "2024-06-30T12:00:00.120Z",
        "2024-06-30T12:00:00+14:00",
    ];
    let values = texts.map(|text| json!({"d": text, "ds": [text, texts[0]]}));
    kind(
        "dates of any precision",
        class(vec![property("d", "date"), property("ds", "date[]")]),
        objects(values.to_vec()),
    )
}

fn nested() -> Kind {
    let leaves = || {
        vec![
            property("t", "text"),
            property("i", "int"),
            property("n", "number"),
            property("b", "boolean"),
            property("d", "date"),
            property("u", "uuid"),
            property("ts", "text[]"),
            property("ns", "number[]"),
            property("is", "int[]"),
        ]
    };
    let mut inner = leaves();
    for depth in (1..=5).rev() {
        let kind = if depth % 2 == 0 { "object" } else { "object[]" };
        let mut members = leaves();
        members.push(
            json!({"name": format!("l{depth}"), "dataType": [kind], "nestedProperties": inner}),
        );
        inner = members;
    }
    let object = json!({"name": "o", "dataType": ["object"], "nestedProperties": inner});
    let deep = json!({"t": "deep", "i": i64::MIN, "n": -0.0, "b": false, "d": "2020-01-01T00:00:00.5+01:00", "u": id(9), "ts": [], "ns": [1e-7], "is": [1]});
    let values = vec![
        json!({"o": {"l1": [{"l2": {"l3": [{"l4": {"l5": [deep.clone(), {"t": null}]}}]}}]}}),
        json!({"o": deep}),
        json!({"o": {"l1": []}}),
        json!({"o": {"l1": [{}, {"t": "x"}]}}),
        json!({"o": {"t": null}}),
        json!({}),
    ];
    kind(
        "nested objects, six deep",
        class(vec![object]),
        objects(values),
    )
}

fn geo() -> Kind {
    let nested = json!([
        property("latitude", "number"),
        property("longitude", "number"),
        property("label", "text")
    ]);
    let look_alike = json!({"name": "like", "dataType": ["object"], "nestedProperties": nested});
    let values = vec![
        json!({"g": {"latitude": 52.3932696, "longitude": -4.8374263}}),
        json!({"g": {"latitude": -90, "longitude": 180}}),
        json!({"g": {"latitude": 0, "longitude": 0}}),
        json!({"like": {"latitude": 1.5, "longitude": 2.5}}),
        json!({"like": {"latitude": 0.1, "longitude": 0.2, "label": "not a place"}}),
        json!({"like": {"latitude": 0.1}}),
        json!({"like": {"label": "x"}}),
    ];
    kind(
        "places and what looks like them",
        class(vec![property("g", "geoCoordinates"), look_alike]),
        objects(values),
    )
}

fn arrays() -> Kind {
    let types = ["text", "int", "number", "boolean", "date", "uuid"];
    let mut properties = types
        .map(|name| property(&format!("{name}s"), &format!("{name}[]")))
        .to_vec();
    properties.push(json!({"name": "objects", "dataType": ["object[]"], "nestedProperties": [property("t", "text"), property("ts", "text[]")]}));
    let empty: serde_json::Map<String, Value> = properties
        .iter()
        .map(|p| (p["name"].as_str().unwrap().to_owned(), json!([])))
        .collect();
    let nulls: serde_json::Map<String, Value> = empty
        .keys()
        .map(|name| (name.clone(), Value::Null))
        .collect();
    let values = vec![
        json!(empty),
        json!(nulls),
        json!({}),
        json!({"texts": [""]}),
        json!({"objects": [{"ts": []}, {"t": null}, {}]}),
        json!({"ints": [], "texts": null}),
    ];
    kind("empty, null and absent", class(properties), objects(values))
}

fn texts() -> Kind {
    let texts = [
        "",
        "Ünïcode 東京 😀 \u{10ffff}",
        "\u{0}\u{1}\u{1f}\u{7f}",
        "\u{2028}\u{2029}\u{feff}",
        "<>&\"\\/\u{8}\u{c}\n\r\t",
        "a\u{301} á",
        "null",
        "{\"a\":[1]}",
    ];
    let values = texts.map(|text| json!({"t": text, "ts": [text, ""]}));
    kind(
        "text of every sort",
        class(vec![property("t", "text"), property("ts", "text[]")]),
        objects(values.to_vec()),
    )
}

fn phones() -> Kind {
    let values = vec![
        json!({"p": {"input": "020 1234567", "defaultCountry": "nl"}}),
        json!({"p": {"input": "+49 30 1234567"}}),
        json!({"p": {"input": "+31 20 7654321", "defaultCountry": "DE"}}),
        json!({"p": {"input": "030 123456", "defaultCountry": "DE"}}),
    ];
    kind(
        "phone numbers",
        class(vec![property("p", "phoneNumber")]),
        objects(values),
    )
}

fn blobs() -> Kind {
    use base64::Engine as _;
    let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let values = [1usize, 2, 3, 1_000, 100_000]
        .map(|length| json!({"b": encode(&vec![length as u8; length])}));
    kind(
        "blobs",
        class(vec![property("b", "blob")]),
        objects(values.to_vec()),
    )
}

fn hashes() -> Kind {
    let values = vec![json!({"h": "aGVsbG8=", "t": "x"}), json!({"t": "y"})];
    Kind {
        exit_code: 3,
        ignored: vec!["h"],
        since: (1, 37),
        ..kind(
            "blobHash, which cannot come back",
            class(vec![property("h", "blobHash"), property("t", "text")]),
            objects(values),
        )
    }
}

fn tenants() -> Kind {
    let mut definition = plain();
    definition["multiTenancyConfig"] =
        json!({"enabled": true, "autoTenantCreation": true, "autoTenantActivation": false});
    let names = ["amber", "Amber", "blue-1", "cold_1"];
    let objects = names.iter().enumerate().flat_map(|(at, tenant)| {
        legacy(20).into_iter().map(move |mut object| {
            object["tenant"] = json!(tenant);
            object["properties"]["views"] = json!(at);
            object
        })
    });
    Kind {
        tenants: vec![
            ("amber", "HOT"),
            ("Amber", "HOT"),
            ("blue-1", "COLD"),
            ("cold_1", "COLD"),
            ("empty", "HOT"),
            ("asleep", "COLD"),
        ],
        ..kind("tenants with their states", definition, objects)
    }
}

fn settings() -> Kind {
    let definition = json!({"description": "all of it", "vectorizer": "none", "vectorIndexType": "hnsw",
    "vectorIndexConfig": {"distance": "l2-squared", "ef": 64, "efConstruction": 100, "maxConnections": 16, "flatSearchCutoff": 1000, "skip": false,
        "sq": {"enabled": true, "trainingLimit": 50000, "rescoreLimit": 30}},
    "invertedIndexConfig": {"bm25": {"b": 0.5, "k1": 1.5}, "cleanupIntervalSeconds": 30, "indexNullState": true, "indexPropertyLength": true,
        "indexTimestamps": true, "stopwords": {"preset": "en", "additions": ["foo"], "removals": ["the"]}},
    "replicationConfig": {"factor": 1, "deletionStrategy": "NoAutomatedResolution"},
    "properties": [
        {"name": "zeta", "dataType": ["text"], "description": "first", "tokenization": "field", "indexFilterable": false},
        {"name": "alpha", "dataType": ["text"], "tokenization": "whitespace", "indexSearchable": false},
        {"name": "trigram", "dataType": ["text[]"], "tokenization": "trigram"},
        {"name": "lower", "dataType": ["text"], "tokenization": "lowercase"},
        {"name": "range", "dataType": ["number"], "indexRangeFilters": true, "indexFilterable": false},
        {"name": "inner", "dataType": ["object"], "indexFilterable": false, "nestedProperties": [
            {"name": "deep", "dataType": ["text"], "description": "d", "tokenization": "field"}]},
    ]});
    let values = vec![
        json!({"zeta": "z", "alpha": "a b", "trigram": ["abc"], "lower": "X", "range": 1.5, "inner": {"deep": "x"}}),
    ];
    kind("settings of every sort", definition, objects(values))
}

fn indexes() -> Kind {
    let with = |kind: &str, config: Value| json!({"vectorizer": {"none": {}}, "vectorIndexType": kind, "vectorIndexConfig": config});
    let definition = json!({"properties": [property("t", "text")], "vectorConfig": {
        "flatbq": with("flat", json!({"distance": "cosine", "bq": {"enabled": true, "rescoreLimit": 10, "cache": true}})),
        "pq": with("hnsw", json!({"distance": "dot", "pq": {"enabled": true, "segments": 2, "centroids": 16, "trainingLimit": 1000}})),
        "rq": with("hnsw", json!({"distance": "cosine", "rq": {"enabled": true, "bits": 8, "rescoreLimit": 20}})),
        "manhattan": with("hnsw", json!({"distance": "manhattan"})),
    }});
    let objects = (0..20u32).map(|n| {
        json!({"id": id(n.into()), "properties": {"t": "x"},
        "vectors": {"flatbq": [1, n, 3], "pq": [1, 2, 3, n], "rq": [n, 1], "manhattan": [n]}})
    });
    Kind {
        since: (1, 32),
        ..kind("indexes and compressions", definition, objects)
    }
}

fn time_to_live() -> Kind {
    let mut definition = class(vec![property("until", "date"), property("t", "text")]);
    definition["objectTtlConfig"] = json!({"enabled": true, "deleteOn": "until", "defaultTtl": 3600, "filterExpiredObjects": false});
    definition["invertedIndexConfig"] = json!({"indexTimestamps": true});
    let values = (0..30).map(|n| json!({"until": "2999-01-01T00:00:00Z", "t": n.to_string()}));
    Kind {
        may_be_refused: true,
        since: (1, 35),
        ..kind("a time to live", definition, objects(values.collect()))
    }
}

fn named() -> Vec<Kind> {
    let both = json!({"properties": [property("n", "number")], "vectorConfig": {"a": index("hnsw"), "b": index("flat")}});
    let dimensions = (0..40u32).map(|n| match n % 4 {
        0 => json!({"id": id(n.into()), "properties": {"n": n}}),
        1 => json!({"id": id(n.into()), "vectors": {"a": [0.1, n]}}),
        2 => json!({"id": id(n.into()), "vectors": {"b": [n, -1e-45, 0.33333334, 5]}}),
        _ => json!({"id": id(n.into()), "vectors": {"a": [n, 2], "b": [1, 2, 3, n]}}),
    });
    let beside = (0..40u32).map(|n| match n % 3 {
        0 => json!({"id": id(n.into()), "vector": [n, 0.1]}),
        1 => json!({"id": id(n.into()), "vectors": {"a": [n]}}),
        _ => json!({"id": id(n.into()), "vector": [1, 2], "vectors": {"a": [3]}}),
    });
    let rows = (0..40u32).map(|n| json!({"id": id(n.into()), "vectors": {"rows": vec![json!([1.5, -0.0, n]); 1 + n as usize % 4], "single": [n]}}));
    let one = json!({"vectorConfig": {"only": index("hnsw")}});
    vec![
        kind("named vectors, some missing", both, dimensions),
        kind(
            "one named vector",
            one,
            (0..10u32).map(|n| json!({"id": id(n.into()), "vectors": {"only": [n]}})),
        ),
        Kind {
            update: Some(json!({"vectorConfig": {"a": index("hnsw")}})),
            since: (1, 30),
            ..kind("legacy and named vectors", plain(), beside)
        },
        Kind {
            since: (1, 29),
            ..kind(
                "multi-vectors",
                json!({"vectorConfig": {"rows": multi(), "single": index("hnsw")}}),
                rows,
            )
        },
    ]
}

fn lengths() -> Vec<Kind> {
    let skipped = json!({"vectorizer": "none", "vectorIndexConfig": {"skip": true}});
    let any =
        (1..20u32).map(|n| json!({"id": id(n.into()), "vector": vec![1.5; n as usize % 5 + 1]}));
    let mut tenants = json!({"vectorizer": "none", "multiTenancyConfig": {"enabled": true}});
    tenants["properties"] = json!([property("n", "int")]);
    let of_tenant = (0..20u32).map(|n| match n % 2 {
        0 => {
            json!({"id": id(n.into()), "tenant": "short", "vector": [n, 2], "properties": {"n": n}})
        }
        _ => json!({"id": id(n.into()), "tenant": "long", "vector": [n, 2, 3, 4]}),
    });
    vec![
        kind("any length, the index skipped", skipped, any),
        Kind {
            tenants: vec![("short", "HOT"), ("long", "HOT")],
            ..kind("each tenant its own length", tenants, of_tenant)
        },
    ]
}

pub fn all() -> Vec<Kind> {
    let spread = |count: u64| {
        (0..count).map(|n| json!({"id": Uuid::from_u64_pair(n.wrapping_mul(0x9e37_79b9_7f4a_7c15), n), "properties": {"views": n}, "vector": [n, 1]}))
    };
    let v7 = |n: u64| {
        Uuid::from_u128(
            (u128::from(1_700_000_000_000 + n / 7) << 80) | (7 << 76) | (2 << 62) | u128::from(n),
        )
    };
    let large = (0..6u8).map(|n| json!({"id": id(n.into()), "properties": {"title": "é\"x".repeat(250_000) + &n.to_string()}}));
    let mut sharded = plain();
    sharded["shardingConfig"] = json!({"desiredCount": 3});
    let extremes = [id(0), id(u128::MAX), id(7)]
        .map(|id| json!({"id": id, "properties": {"title": "x"}, "vector": [1]}));
    let uuids = vec![
        json!({"u": id(0), "us": [id(u128::MAX), "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF"]}),
        json!({"u": "8A3B0B4E-0B5F-4A43-9D5F-7D5F6F3A1B2C"}),
    ];
    let mut all = vec![
        kind("an empty collection", plain(), []),
        kind("one object", plain(), legacy(1)),
        kind("the first and the last id", plain(), extremes),
        kind(
            "no properties at all",
            json!({"vectorizer": "none"}),
            [json!({"id": id(1)}), json!({"id": id(2), "vector": [1]})],
        ),
        kind("the one vector without a name", plain(), legacy(150)),
        kind(
            "no vectors",
            plain(),
            objects((0..30).map(|n| json!({"views": n})).collect()),
        ),
    ];
    all.extend(named());
    all.extend([
        every_type(),
        numbers(),
        dates(),
        nested(),
        geo(),
        arrays(),
        texts(),
        phones(),
        blobs(),
        hashes(),
    ]);
    all.push(kind(
        "uuids of any spelling",
        class(vec![property("u", "uuid"), property("us", "uuid[]")]),
        objects(uuids),
    ));
    all.push(tenants());
    all.extend(lengths());
    all.push(Kind {
        aliases: vec!["One", "Two"],
        since: (1, 32),
        ..kind("aliases", plain(), legacy(5))
    });
    all.extend([settings(), indexes(), time_to_live()]);
    all.push(kind("three shards, ids at random", sharded, spread(900)));
    all.push(kind(
        "ids by time",
        plain(),
        (0..700).map(|n| json!({"id": v7(n), "properties": {"views": n}})),
    ));
    all.push(kind("large objects", plain(), large));
    all
}
