//! Which of both is cheaper at two ends, in whole simulated hours.

use kit_serverless::cluster::Shape;
use kit_serverless::compare::Case;
use kit_serverless::function::Function;
use kit_serverless::load::{Load, profiles};
use kit_serverless::prices::prices;

fn case(profile: &str, rate: f64) -> Case {
    let rates = profiles()[profile].rates(rate);
    let load = Load { rates, cpu_ms: 20.0, wait_ms: 80.0, memory_mb: 512 };
    Case { load, function: Function::default(), shape: Shape::default(), seed: 7 }
}

#[test]
fn functions_win_where_hardly_anybody_comes_and_lose_under_a_steady_load() {
    let modules = solutions::modules();
    let mut short = case("steady", 200.0);
    short.load.rates.truncate(60);
    let busy = short.compare(&modules, &prices()).expect("it can be played");
    assert!(busy.cluster.cost < busy.function.cost, "{busy:?}");
    assert!(busy.function.failed == 0 && busy.function.starts > 0, "{busy:?}");
    let mut quiet = case("steady", 0.1);
    quiet.load.rates.truncate(60);
    let quiet = quiet.compare(&modules, &prices()).expect("it can be played");
    assert!(quiet.function.cost < quiet.cluster.cost / 10.0, "{quiet:?}");
}
