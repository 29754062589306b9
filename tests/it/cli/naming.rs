//! A rotation is named by its user, one of its keys, its id, or a beginning of these.

use super::bench::Bench;

const SHOP: &str = "shop/production";
const STAGING: &str = "shop/staging";

/// Two rotations in flight.
fn in_flight() -> Bench {
    let bench = Bench::with_users(&[SHOP, STAGING]);
    bench.run(&["run", "--overlap", "1h"]).code(3);
    bench
}

#[test]
fn every_name_of_a_rotation_leads_to_it() {
    let bench = in_flight();
    let (id, _) = bench.rotation_of(SHOP);
    let document = bench.run(&["status", &id, "--output", "json"]).code(0).json();
    let key = |name: &str| document["rotations"][0][name].as_str().expect("a key").to_owned();
    for name in
        [SHOP.to_owned(), "shop/p".to_owned(), key("old_key_id"), key("new_key_id"), key("new_key_id")[..9].to_owned()]
    {
        let found = bench.run(&["status", &name, "--output", "json"]).code(0).json();
        assert_eq!(found["rotations"].as_array().map(Vec::len), Some(1), "{name}: {found:#}");
        assert_eq!(found["rotations"][0]["id"], id.as_str(), "{name}");
    }
    bench.run(&["resume", STAGING]).code(3).prints(STAGING);
    let (other, _) = bench.rotation_of(STAGING);
    bench.run(&["resolve", "shop/s", "--finish"]).code(2).says("no rotation in flight");
    bench.run(&["resolve", &other[..35], "--finish"]).code(0).prints("1 rotated");
    bench.run(&["status", STAGING]).code(0).prints("deleted-old");
    bench.run(&["resume", STAGING]).code(2).says("is closed (deleted-old)").says(&format!("rotator rotate {STAGING}"));
    bench.run(&["abort", SHOP]).code(2).says("keeps no copy");
}

#[test]
fn a_name_that_fits_none_or_several_lists_what_is_in_flight() {
    let bench = in_flight();
    let before = bench.run(&["status", "--output", "json"]).code(0).json();
    for command in [&["status"][..], &["resume"], &["abort"], &["reactivate"]] {
        bench.run(&[command, &["shpo"]].concat()).code(2).says("`shpo`").says(SHOP).says(STAGING);
        bench.run(&[command, &[""]].concat()).code(2).says(SHOP).says(STAGING);
    }
    for command in ["status", "resume"] {
        bench.run(&[command, "shop/"]).code(2).says("fits 2 rotations").says(SHOP).says(STAGING);
    }
    bench.run(&["resolve", "", "--finish"]).code(2).says("no rotation in flight");
    let after = bench.run(&["status", "--output", "json"]).code(0).json();
    assert_eq!(before["rotations"], after["rotations"], "nothing was changed");
}

/// The rotation of `shop` has ended. A decision about it must not reach the one of `shop/production`.
#[test]
fn a_user_whose_rotation_is_closed_is_not_taken_for_one_whose_name_begins_alike() {
    let bench = Bench::with_users(&["shop/prod", "shop/production"]);
    bench.run(&["run", "--only", "shop/prod"]).code(0);
    bench.run(&["run", "--overlap", "1h"]).code(3);
    bench.run(&["resolve", "shop/prod", "--finish"]).code(2).says("is closed (deleted-old)");
    let shown = bench.run(&["status", "shop/prod", "--output", "json"]).code(0).json();
    assert_eq!(shown["rotations"][0]["user"], "shop/prod", "{shown:#}");
    assert_eq!(bench.rotation_of("shop/production").1, "stored-new");
}
