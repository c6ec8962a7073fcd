//! What holds of every API alike, made from the table of schemas: versions,
//! requests of nothing but defaults, and damaged frames.

use std::time::Duration;

use crate::case::Case;
use crate::connection::{PATIENCE, framed, header};
use crate::msg;
use crate::schema::{APIS, Api, Field, Kind};
use crate::session::Session;
use crate::value::{NULL, Value};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::new("wire", "versions_out_of_range", versions_out_of_range),
        Case::new("wire", "unknown_apis", unknown_apis),
        Case::new("wire", "cut_short", cut_short),
        Case::new("wire", "bytes_behind_the_body", bytes_behind_the_body),
        Case::new("wire", "unknown_tagged_fields", unknown_tagged_fields),
        Case::new("wire", "nulls_that_may_not_be", nulls_that_may_not_be),
        Case::new("wire", "counts_beyond_the_frame", counts_beyond_the_frame),
        Case::new("wire", "negative_counts", negative_counts),
        Case::new("wire", "client_ids", client_ids),
        Case::new("wire", "frames", frames),
    ];
    for api in of_brokers() {
        let defaults = move |s: &mut Session<'_>| s.sweep(api.name, |_| least(api));
        cases.push(Case::new("defaults", api.name, defaults));
    }
    cases
}

fn of_brokers() -> impl Iterator<Item = &'static Api> {
    APIS.iter().filter(|api| api.is_on_broker)
}

/// A request of nothing but defaults, to which an answer comes.
fn least(api: &Api) -> Value {
    match api.name {
        "Produce" => msg! { Acks: 1 },
        "AddPartitionsToTxn" => {
            let topics = [msg! { Name: "none", Partitions: [0] }];
            msg! {
                V3AndBelowTopics: topics.clone(),
                Transactions: [msg! { TransactionalId: "none", Topics: topics }],
            }
        }
        _ => msg! {},
    }
}

/// Every version of every API that clients may use.
fn versions() -> impl Iterator<Item = (&'static Api, i16)> {
    of_brokers().flat_map(|api| api.stable_versions().map(move |version| (api, version)))
}

/// The body of a version that no table has is that of the nearest one it has.
fn versions_out_of_range(s: &mut Session<'_>) -> anyhow::Result<()> {
    for api in of_brokers() {
        let (low, high) = api.request.versions.clone().into_inner();
        for (version, like) in [
            (-1, low),
            (low - 1, low),
            (high + 1, high),
            (i16::MAX, high),
        ] {
            let mut frame = s.frame(api.name, like, &least(api))?;
            frame[6..8].copy_from_slice(&version.to_be_bytes());
            // Whatever the version, the answer of ApiVersions has version 0's form.
            let answered = if api.name == "ApiVersions" { 0 } else { like };
            let what = format!("{} version {version}", api.name);
            s.ask_bytes("a", &what, &frame, Some((api.name, answered)), PATIENCE)?;
            s.disconnect("a");
        }
    }
    Ok(())
}

fn unknown_apis(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.note("Keys that no API has, or that only a controller's listener answers.");
    let of_controllers = APIS
        .iter()
        .filter(|api| !api.is_on_broker)
        .map(|api| api.key);
    let keys = [-1, 4, 5, 6, 7, 93, 94, 95, 999, i16::MAX].into_iter();
    for key in keys.chain(of_controllers) {
        for version in [0, 1] {
            let mut frame = s.frame("Heartbeat", 0, &msg! {})?;
            frame[4..6].copy_from_slice(&key.to_be_bytes());
            frame[6..8].copy_from_slice(&i16::to_be_bytes(version));
            s.ask_bytes(
                "a",
                &format!("key {key} version {version}"),
                &frame,
                None,
                PATIENCE,
            )?;
        }
    }
    Ok(())
}

fn cut_short(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.note("The last byte is missing; the size of the frame knows of it.");
    for (api, version) in versions() {
        let frame = s.frame(api.name, version, &least(api))?;
        let is_bodiless = frame.len() == 4 + header(api, version, 1, Some("oracle")).len();
        if !is_bodiless {
            let cut = framed(&frame[4..frame.len() - 1]);
            s.ask_damaged(api.name, version, "without its last byte", &cut)?;
            s.disconnect("a");
        }
    }
    Ok(())
}

fn bytes_behind_the_body(s: &mut Session<'_>) -> anyhow::Result<()> {
    for (api, version) in versions() {
        let mut frame = s.frame(api.name, version, &least(api))?;
        frame.extend([1, 2, 3]);
        let longer = framed(&frame[4..]);
        s.ask_damaged(api.name, version, "with three bytes more", &longer)?;
        s.disconnect("a");
        s.forget_ids();
    }
    Ok(())
}

fn unknown_tagged_fields(s: &mut Session<'_>) -> anyhow::Result<()> {
    const TAGS: [u8; 12] = [2, 99, 3, 1, 2, 3, 0xff, 0xff, 0x03, 2, 4, 5];
    s.note("Two at the end of the body.");
    let flexible = || versions().filter(|(api, version)| api.is_flexible(*version));
    for (api, version) in flexible() {
        let mut frame = s.frame(api.name, version, &least(api))?;
        frame.pop();
        frame.extend(TAGS);
        let tagged = framed(&frame[4..]);
        s.ask_damaged(
            api.name,
            version,
            "with tagged fields 99 and 65535",
            &tagged,
        )?;
        s.disconnect("a");
        s.forget_ids();
    }
    s.note("Two at the end of the header.");
    for (api, version) in flexible() {
        let frame = s.frame(api.name, version, &least(api))?;
        let at = 4 + header(api, version, 1, Some("oracle")).len();
        let tagged = framed(&[&frame[4..at - 1], &TAGS[..], &frame[at..]].concat());
        s.ask_damaged(
            api.name,
            version,
            "with tagged fields in its header",
            &tagged,
        )?;
        s.disconnect("a");
        s.forget_ids();
    }
    s.note("In a wrong order, twice the same, longer than the frame, and more than there are.");
    for tags in [
        &[2, 99, 1, 0, 98, 1, 0][..],
        &[2, 99, 1, 0, 99, 1, 0],
        &[1, 99, 0xff, 0xff, 0xff, 0xff, 0x07, 0],
        &[0xff, 0xff, 0xff, 0xff, 0x07, 99, 1, 0],
    ] {
        let mut frame = s.frame("Heartbeat", 4, &msg! {})?;
        frame.pop();
        frame.extend(tags);
        let tagged = framed(&frame[4..]);
        s.ask_damaged("Heartbeat", 4, &format!("with the tags {tags:?}"), &tagged)?;
        s.disconnect("a");
        s.forget_ids();
    }
    Ok(())
}

/// A field of a request and those that hold it, the outermost first.
type Path = Vec<&'static Field>;

/// The fields of requests that begin with a length, each in all its versions.
fn sized() -> impl Iterator<Item = (&'static Api, Path, i16)> {
    of_brokers().flat_map(|api| {
        let mut paths = Vec::new();
        add_sized(&api.request.fields, &[], &mut paths);
        paths.into_iter().flat_map(move |path| {
            let is_there = |version: &i16| {
                let mut fields = path.iter();
                fields.all(|it| it.versions.contains(version) && it.tag(*version).is_none())
            };
            let versions: Vec<i16> = api.stable_versions().filter(is_there).collect();
            versions
                .into_iter()
                .map(move |version| (api, path.clone(), version))
        })
    })
}

fn add_sized(fields: &'static [Field], holders: &[&'static Field], paths: &mut Vec<Path>) {
    for field in fields {
        let path = [holders, &[field]].concat();
        let is_sized = matches!(field.kind, Kind::String | Kind::Bytes | Kind::Records);
        if field.is_array || is_sized {
            paths.push(path.clone());
        }
        add_sized(&field.fields, &path, paths);
    }
}

/// As the schema names it: `Topics.Partitions`.
fn name_of(path: &Path) -> String {
    let names: Vec<&str> = path.iter().map(|field| field.name).collect();
    names.join(".")
}

/// The last field of the path, which is the one that matters.
fn last(path: &Path) -> &'static Field {
    path.last().expect("a path names a field")
}

/// The least request with one field that is otherwise, alone in whatever holds it.
fn with(api: &Api, path: &Path, value: Value) -> Value {
    let mut request = least(api);
    if let Value::Struct(fields) = &mut request {
        let outermost = path[0].name;
        fields.retain(|(name, _)| *name != outermost);
        fields.push((outermost, held(path, value)));
    }
    request
}

/// What the first field of the path holds, if the last one has that value.
fn held(path: &[&Field], value: Value) -> Value {
    let [field, inner @ ..] = path else {
        return value;
    };
    let [next, ..] = inner else {
        return value;
    };
    let element = Value::Struct(vec![(next.name, held(inner, value))]);
    if field.is_array {
        Value::Array(vec![element])
    } else {
        element
    }
}

fn nulls_that_may_not_be(s: &mut Session<'_>) -> anyhow::Result<()> {
    for (api, path, version) in sized() {
        if !last(&path).nullable.contains(&version) {
            let frame = s.frame(api.name, version, &with(api, &path, NULL))?;
            s.ask_damaged(
                api.name,
                version,
                &format!("{} is null", name_of(&path)),
                &frame,
            )?;
            s.disconnect("a");
        }
    }
    Ok(())
}

fn counts_beyond_the_frame(s: &mut Session<'_>) -> anyhow::Result<()> {
    for (api, path, version) in sized() {
        let size = match (api.is_flexible(version), is_short(last(&path))) {
            (true, _) => vec![0xff, 0xff, 0xff, 0xff, 0x07],
            (false, true) => i16::MAX.to_be_bytes().to_vec(),
            (false, false) => i32::MAX.to_be_bytes().to_vec(),
        };
        let frame = s.frame(api.name, version, &with(api, &path, Value::Raw(size)))?;
        let damage = format!("{} has the largest length", name_of(&path));
        s.ask_damaged(api.name, version, &damage, &frame)?;
        s.disconnect("a");
    }
    Ok(())
}

fn negative_counts(s: &mut Session<'_>) -> anyhow::Result<()> {
    // Every topic is described, with whatever other cases put into it.
    s.mask("DescribeLogDirs", "PartitionSize");
    for (api, path, version) in sized() {
        if api.is_flexible(version) {
            continue;
        }
        let size = if is_short(last(&path)) {
            (-2_i16).to_be_bytes().to_vec()
        } else {
            (-2_i32).to_be_bytes().to_vec()
        };
        let frame = s.frame(api.name, version, &with(api, &path, Value::Raw(size)))?;
        let damage = format!("{} has the length -2", name_of(&path));
        s.ask_damaged(api.name, version, &damage, &frame)?;
        s.disconnect("a");
    }
    Ok(())
}

/// Whether its length takes two bytes.
fn is_short(field: &Field) -> bool {
    field.kind == Kind::String && !field.is_array
}

fn client_ids(s: &mut Session<'_>) -> anyhow::Result<()> {
    let long = "x".repeat(30_000);
    let clients = [
        ("null", None),
        ("empty", Some("")),
        ("of 30,000 letters", Some(&*long)),
        ("with a NUL and a line break", Some("a\0b\nc")),
        ("of Greek letters", Some("ωμέγα")),
    ];
    for (name, version) in [("Heartbeat", 3), ("Heartbeat", 4)] {
        let api = Api::named(name);
        for (what, client) in clients {
            let body = s.frame(name, version, &msg! {})?;
            let body = &body[4 + header(api, version, 1, Some("oracle")).len()..];
            let frame = framed(&[&header(api, version, 1, client), body].concat());
            s.ask_damaged(name, version, &format!("the client id is {what}"), &frame)?;
        }
        for (what, size) in [("-2", -2_i16), ("-7530", -7530), ("32767", i16::MAX)] {
            let mut frame = s.frame(name, version, &msg! {})?;
            frame[12..14].copy_from_slice(&size.to_be_bytes());
            s.ask_damaged(
                name,
                version,
                &format!("the client id has the length {what}"),
                &frame,
            )?;
        }
    }
    s.note("Bytes that are no UTF-8.");
    let mut frame = s.frame("Heartbeat", 3, &msg! {})?;
    frame[14..16].copy_from_slice(&[0xff, 0xfe]);
    s.ask_damaged("Heartbeat", 3, "the client id is no text", &frame)
}

fn frames(s: &mut Session<'_>) -> anyhow::Result<()> {
    const SHORT: Duration = Duration::from_millis(300);
    for (what, bytes) in [
        ("a frame of size 0", &[0, 0, 0, 0][..]),
        ("a frame of size -1", &[255, 255, 255, 255]),
        ("a frame of the least size", &[128, 0, 0, 0]),
        ("a frame of 2 GiB", &[127, 255, 255, 255, 0, 3, 0, 0]),
        ("a frame of the size that is allowed", &[6, 64, 0, 0, 0, 3]),
        ("a frame of one byte more", &[6, 64, 0, 1, 0, 3]),
        ("a frame of one byte", &[0, 0, 0, 1, 0]),
        ("a frame of a key alone", &[0, 0, 0, 2, 0, 18]),
        ("a frame of key and version", &[0, 0, 0, 4, 0, 18, 0, 0]),
        (
            "a frame without a client id",
            &[0, 0, 0, 8, 0, 18, 0, 0, 0, 0, 0, 1],
        ),
        ("a frame that is not there yet", &[0, 0, 0, 16, 0, 18, 0, 0]),
        ("half a size", &[0, 0]),
        (
            "a request to an HTTP server",
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        ),
        (
            "the hello of a TLS client",
            &[0x16, 3, 1, 0, 0xa5, 1, 0, 0, 0xa1, 3, 3],
        ),
    ] {
        s.ask_bytes("a", what, bytes, None, SHORT)?;
        s.disconnect("a");
    }
    s.note("Two requests in one write, and one in two.");
    let one = s.frame("Heartbeat", 0, &msg! { GroupId: "none" })?;
    let other = s.frame("Heartbeat", 1, &msg! { GroupId: "none" })?;
    let answer = Some(("Heartbeat", 0));
    s.ask_bytes(
        "a",
        "two requests at once",
        &[&one[..], &other].concat(),
        answer,
        PATIENCE,
    )?;
    s.ask_bytes("a", "nothing", &[], Some(("Heartbeat", 1)), PATIENCE)?;
    s.ask_bytes("a", "half a request", &one[..9], None, SHORT)?;
    s.ask_bytes("a", "the other half", &one[9..], answer, PATIENCE)?;
    Ok(())
}
