//! Loads and names of the cases.

use crate::accuracy::cases::*;
use crate::accuracy::generator::Load;

fn case(model: Model, behaviour: Behaviour) -> Case {
    Case {
        model,
        behaviour,
        percent: 25,
    }
}

#[test]
fn names_differ() {
    let cases = all(&[5, 25, 50, 80, 95]);
    let mut names: Vec<String> = cases.iter().map(Case::name).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), cases.len());
    assert!(names.contains(&"open/two-point/95".to_string()));
    assert!(names.contains(&"open/freeze-few-users/50".to_string()));
    assert!(!names.contains(&"open/freeze/50".to_string()));
}

#[test]
fn users_are_as_many_as_calls_are_under_way() {
    let load = |behaviour| case(Model::Closed, behaviour).load(10_000.0);
    assert_eq!(load(Behaviour::Fixed), Load::Users(11));
    assert_eq!(load(Behaviour::TwoPoint), Load::Users(15));
    let few = case(Model::Closed, Behaviour::Fixed).load(100.0);
    assert_eq!(few, Load::Users(1));
}

#[test]
fn a_frozen_server_meets_users_enough_or_a_queue_that_holds_the_rest() {
    let load = |behaviour| case(Model::Open, behaviour).load(1000.0);
    let Load::Arrivals { max_vus, .. } = load(Behaviour::Freeze) else {
        panic!("the open model");
    };
    assert!(max_vus > 2000);
    let Load::Arrivals { max_vus, .. } = load(Behaviour::FreezeFewUsers) else {
        panic!("the open model");
    };
    // The queue is ten times the pool.
    assert!(max_vus < 300 && max_vus * 11 > 2000);
}
