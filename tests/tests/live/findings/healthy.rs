//! A node on which nothing is wrong: containers of every kind come and go, by every runtime and engine that is here,
//! and nothing is concluded or suspected of any of them. `cargo xtask quiet` is the same for longer.

use observer_tests::{
    ordinary::{Day, Gone},
    rig::{
        stage,
        verdict::{Verdicts, quiet},
    },
};

#[test]
fn ordinary_work() {
    let stage = stage();
    let Some(day) = Day::begin("ordinary_work", &stage) else { return };
    let verdicts = Verdicts::begin(&stage, "crash-loop-not-ordinary-work", &[]);
    let mut gone = Vec::new();
    day.round(0, &mut gone);
    let ids = gone.iter().filter_map(|gone| if let Gone::Id(id) = gone { Some(id) } else { None });
    for id in ids.clone() {
        verdicts.run.wait_for(&format!("the end of {id}"), |object| {
            object["probe"] == "runtime" && object["action"] == "exit" && object["container"]["id"] == **id
        });
    }
    let seen = verdicts.end();
    let named = gone.iter().filter_map(|gone| if let Gone::Name(name) = gone { Some(name) } else { None });
    let named = named.map(|name| {
        let start = seen.of_type("coldstart").find(|start| start["container"]["name"] == **name);
        let start = start.unwrap_or_else(|| panic!("{name} was not seen: {}", seen.stderr));
        start["container"]["id"].as_str().expect("an id").to_owned()
    });
    for id in ids.cloned().chain(named) {
        assert_eq!(seen.starts_of(&id).len(), 1, "{id}");
        quiet(&seen, &id);
    }
}
