use baraza_identity::testing;
use baraza_wire::hex;
use proptest::prelude::*;

use super::*;
use crate::secure;
use crate::value::tests_support::vectors;

fn packed(query: &Query) -> Vec<u8> {
    let mut writer = Writer::new();
    query.encode(&mut writer);
    writer.into_bytes()
}

fn decode(bytes: &[u8]) -> Result<Query, QueryError> {
    Query::decode(&mut Reader::new(bytes))
}

#[test]
fn a_query_packs_as_the_reference_does() {
    let crypto = vectors("dht-crypto.json")["opendht_2412"].clone();
    let expected = crypto["query_select_id_seq_where_id5_type3_utype_owner"]
        .as_str()
        .unwrap();
    let owner = crypto["alice_id_sha1"].as_str().unwrap().parse().unwrap();
    let query = Query::all()
        .select([Field::SeqNum, Field::Id])
        .filter(Filter::Id(5))
        .filter(Filter::ValueType(3))
        .filter(Filter::UserType("x".into()))
        .filter(Filter::Owner(owner));
    assert_eq!(hex::encode(&packed(&query)), expected);
    assert_eq!(decode(&packed(&query)), Ok(query));
}

#[test]
fn filters_must_all_match() {
    let alice = testing::identity("alice");
    let plain = Value::new(3, b"d").with_user_type("t").with_id(5);
    let signed = secure::sign(&plain, alice.key(), None).unwrap();
    let all = [
        Filter::Id(5),
        Filter::ValueType(3),
        Filter::UserType("t".into()),
    ];
    let query = all.iter().cloned().fold(Query::all(), Query::filter);
    assert!(query.matches(&plain) && query.matches(&signed));
    assert!(Query::all().matches(&plain));
    for other in [
        Filter::Id(6),
        Filter::ValueType(4),
        Filter::UserType("tt".into()),
    ] {
        assert!(!query.clone().filter(other).matches(&plain));
    }
    let by_owner = Query::all().filter(Filter::Owner(alice.short_id()));
    assert!(by_owner.matches(&signed) && !by_owner.matches(&plain));
    let by_nobody = Query::all().filter(Filter::Owner(InfoHash::default()));
    assert!(by_nobody.matches(&plain) && !by_nobody.matches(&signed));
    let sealed = secure::encrypt(&plain, alice.key(), alice.public_key()).unwrap();
    assert!(!query.matches(&sealed) && Query::by_type(0).matches(&sealed));
}

#[test]
fn satisfaction_needs_fewer_filters_and_more_fields() {
    let (a, b) = (Filter::Id(1), Filter::ValueType(2));
    let both = Query::all().filter(a.clone()).filter(b.clone());
    let swapped = Query::all().filter(b).filter(a.clone());
    let one = Query::all().filter(a);
    assert!(both.is_satisfied_by(&swapped) && swapped.is_satisfied_by(&both));
    assert!(both.is_satisfied_by(&one) && !one.is_satisfied_by(&both));
    assert!(one.is_satisfied_by(&Query::all()));
    let id = one.clone().select([Field::Id]);
    let id_and_seq = one.clone().select([Field::Id, Field::SeqNum]);
    assert!(id.is_satisfied_by(&id_and_seq) && !id_and_seq.is_satisfied_by(&id));
    assert!(!one.is_satisfied_by(&id) && !id.is_satisfied_by(&one));
}

#[test]
fn queries_that_drop_the_packet() {
    let bad = |hexes: &str| decode(&hex::decode(hexes).unwrap()).unwrap_err();
    assert_eq!(bad("81a17390"), QueryError::Missing("w"));
    assert_eq!(bad("81a17790"), QueryError::Missing("s"));
    // Filters by seq and by a field that does not exist; a selection of one such.
    assert_eq!(
        bad("82a17390a1779182a16604a17601"),
        QueryError::UnknownField
    );
    assert_eq!(
        bad("82a17390a1779182a16606a17601"),
        QueryError::UnknownField
    );
    assert_eq!(bad("82a1739107a17790"), QueryError::UnknownField);
    // A short owner; no operand; not a map.
    assert!(decode(&hex::decode("82a17390a1779182a16603a176c40100").unwrap()).is_err());
    assert_eq!(bad("82a17390a1779181a16601"), QueryError::Missing("v"));
    assert!(matches!(bad("90"), QueryError::Msgpack(_)));
}

#[test]
fn the_number_of_filters_is_bounded() {
    let with = |count: usize| {
        let mut writer = Writer::new();
        writer.map(2).str("s").array(0).str("w").array(count);
        for id in 0..count {
            writer.map(2).str("f").uint(1).str("v");
            writer.uint(u64::try_from(id).unwrap());
        }
        decode(writer.as_bytes()).map(|query| query.filters().len())
    };
    assert_eq!(with(MAX_FILTERS - 1), Ok(MAX_FILTERS - 1));
    assert_eq!(with(MAX_FILTERS), Ok(MAX_FILTERS));
    assert_eq!(with(MAX_FILTERS + 1), Err(QueryError::TooLong));
}

#[test]
fn selected_fields_travel_as_a_flat_list() {
    let alice = testing::identity("alice");
    let plain = Value::new(3, b"d").with_user_type("t").with_id(0x1234);
    let signed = secure::sign(&plain.clone().with_seq(9), alice.key(), None).unwrap();
    let mut writer = Writer::new();
    encode_rows(FieldSet::new([Field::Id]), [&plain], &mut writer);
    assert_eq!(hex::encode(writer.as_bytes()), "82a1669101a17691cd1234");

    let mut writer = Writer::new();
    let everything = FieldSet::new(Field::ALL);
    encode_rows(everything, [&plain, &signed], &mut writer);
    let rows = decode_rows(&mut Reader::new(writer.as_bytes())).unwrap();
    let row = |owner, seq| FieldRow {
        id: Some(0x1234),
        value_type: Some(3),
        owner: Some(owner),
        seq: Some(seq),
        user_type: Some("t".to_owned()),
    };
    assert_eq!(
        rows,
        [row(InfoHash::default(), 0), row(alice.short_id(), 9)]
    );
}

#[test]
fn replies_without_fields_or_cut_short_are_refused() {
    let rows = |hexes: &str| decode_rows(&mut Reader::new(&hex::decode(hexes).unwrap()));
    assert_eq!(rows("82a16690a17690"), Err(QueryError::Missing("f")));
    assert_eq!(rows("81a1669101"), Err(QueryError::Missing("v")));
    assert!(rows("82a1669101a17691c0").is_err());
    assert_eq!(rows("82a1669101a17690"), Ok(Vec::new()));
}

#[test]
fn text_form() {
    let parse = |text: &str| text.parse::<Query>();
    let owner = "75fb90d735331458eb8e9181bb06709fc0d69f84";
    let text =
        format!("select id,seq where id=1,value_type=3,owner_pk={owner},user_type=\"a b,c\",seq=4");
    let query = parse(&text).unwrap();
    assert_eq!(query.select, FieldSet::new([Field::Id, Field::SeqNum]));
    assert_eq!(query.filters().len(), 4);
    assert_eq!(
        query.to_string(),
        format!("SELECT id,seq WHERE id=1,value_type=3,owner_pk={owner},user_type=\"a b,c\"")
    );
    assert_eq!(parse(""), Ok(Query::all()));
    assert_eq!(parse("SELECT * WHERE id=5"), Ok(Query::by_id(5)));
    assert_eq!(parse("WHERE value_type=3"), Ok(Query::by_type(3)));
    for bad in [
        "SELECT nothing",
        "WHERE id=x",
        "WHERE id",
        "HELLO",
        "WHERE owner_pk=12",
        "SELECT id SELECT id",
    ] {
        assert!(parse(bad).is_err(), "{bad}");
    }
}

fn any_filter() -> impl Strategy<Value = Filter> {
    prop_oneof![
        any::<u64>().prop_map(Filter::Id),
        any::<u16>().prop_map(Filter::ValueType),
        any::<[u8; 20]>().prop_map(|id| Filter::Owner(InfoHash::new(id))),
        "[ !#-~]{0,20}".prop_map(|text| Filter::UserType(text.into())),
    ]
}

proptest! {
    #[test]
    fn any_query_reads_back(
        filters in prop::collection::vec(any_filter(), 0..6),
        select in prop::collection::vec(0usize..5, 0..5),
    ) {
        let query = filters
            .into_iter()
            .fold(Query::all(), Query::filter)
            .select(select.into_iter().map(|at| Field::ALL[at]));
        prop_assert_eq!(decode(&packed(&query)), Ok(query.clone()));
        prop_assert_eq!(query.to_string().parse(), Ok(query.clone()));
        prop_assert!(query.is_satisfied_by(&query));
    }

    #[test]
    fn any_bytes_and_texts_do_no_harm(bytes: Vec<u8>, text: String) {
        let _ = decode(&bytes);
        let _ = decode_rows(&mut Reader::new(&bytes));
        let _ = text.parse::<Query>();
    }
}
