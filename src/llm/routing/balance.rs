//! In which order the targets of a model are tried.
//!
//! Pure: chance comes from outside, so that a test can choose it.

use std::cmp::Reverse;

use crate::config::Strategy;

/// What an order is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    pub(super) weight: u32,
    /// Dollars per million tokens read and as many written.
    pub(super) cost: Option<f64>,
}

/// The places of the targets in the order they are tried. `chance` gives a number below the one it is given.
pub(super) fn order(strategy: Strategy, all: &[Standing], chance: impl FnOnce(u64) -> u64) -> Vec<usize> {
    let mut places: Vec<usize> = (0..all.len()).collect();
    let standing = |place: &usize| all.get(*place).copied().unwrap_or(Standing { weight: 0, cost: None });
    match strategy {
        Strategy::Fallback => {}
        Strategy::Cheapest => {
            places.sort_by(|a, b| match (standing(a).cost, standing(b).cost) {
                (Some(a), Some(b)) => a.total_cmp(&b),
                (a, b) => a.is_none().cmp(&b.is_none()),
            });
        }
        Strategy::Weighted => {
            places.sort_by_key(|place| Reverse(standing(place).weight));
            let total: u64 = all.iter().map(|one| u64::from(one.weight)).sum();
            if total > 0 {
                let mut left = chance(total);
                let hit = places.iter().position(|place| {
                    let weight = u64::from(standing(place).weight);
                    let here = left < weight;
                    left = left.saturating_sub(weight);
                    here
                });
                if let Some(at) = hit {
                    let first = places.remove(at);
                    places.insert(0, first);
                }
            }
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::*;

    fn weights(weights: &[u32]) -> Vec<Standing> {
        weights.iter().map(|weight| Standing { weight: *weight, cost: None }).collect()
    }

    #[test]
    fn the_cheapest_is_first_and_an_unknown_price_is_last() {
        let all = [None, Some(3.0), Some(0.5), None, Some(3.0)].map(|cost| Standing { weight: 1, cost });
        assert_eq!(order(Strategy::Cheapest, &all, |_| 0), [2, 1, 4, 0, 3]);
        assert_eq!(order(Strategy::Fallback, &all, |_| 0), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn each_target_is_first_as_often_as_its_weight_says() {
        let all = weights(&[1, 0, 4, 2]);
        let firsts: Vec<usize> = (0..7).map(|chance| order(Strategy::Weighted, &all, |_| chance)[0]).collect();
        assert_eq!([0, 1, 2, 3].map(|target| firsts.iter().filter(|first| **first == target).count()), [1, 0, 4, 2]);
    }

    proptest! {
        #[test]
        fn behind_the_first_of_them_weights_only_fall(given in proptest::collection::vec(0_u32..10, 1..8), chance in any::<u64>()) {
            let all = weights(&given);
            let places = order(Strategy::Weighted, &all, |total| chance % total);
            let mut sorted = places.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..given.len()).collect::<Vec<_>>());
            let rest: Vec<u32> = places[1..].iter().map(|place| given[*place]).collect();
            prop_assert!(rest.is_sorted_by(|a, b| a >= b), "{places:?} of {given:?}");
            prop_assert!(given[places[0]] > 0 || given.iter().all(|weight| *weight == 0));
        }
    }
}
