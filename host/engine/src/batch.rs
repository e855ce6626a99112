//! Batches: what fails together is tried alone, and only what fails alone twice is given up. What a module calls fatal is a
//! failure too: a second, new instance must say the same.

use crate::fault::{Fault, FaultKind, Rejection};
use crate::size::HostBytes;

/// Records of one call. More gains nothing: the call itself is a small part of the cost.
const RECORDS_MAX: u64 = 64;
/// Milliseconds that one call of many records may take: the longest that a loop in one record holds up the others.
const CALL_MS_MAX: u64 = 2_000;
/// Bytes of results after which a batch ends early. With the results of one more call (`output_bytes_max`) this bounds what
/// the host holds of a batch, however many records it has.
const RESULT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How often a record is tried alone.
const ATTEMPTS_ALONE: usize = 2;

/// What becomes of one input.
pub(crate) type Outcome<O> = Result<O, Rejection>;

/// Records per call where one record may take `call_ms_max`.
pub(crate) fn size(call_ms_max: u64) -> usize {
    (CALL_MS_MAX / call_ms_max.max(1)).clamp(1, RECORDS_MAX) as usize
}

/// One outcome per input, in order, of the first inputs: all of them, or fewer where their results are large. An error means
/// that the module cannot be called any more.
pub(crate) fn run<I, O: HostBytes>(
    inputs: &[I],
    size: usize,
    mut call: impl FnMut(&[I]) -> Result<Vec<Outcome<O>>, Fault>,
) -> Result<Vec<Outcome<O>>, Fault> {
    let (mut outcomes, mut bytes) = (Vec::with_capacity(inputs.len()), 0);
    for batch in inputs.chunks(size.max(1)) {
        let results = one_batch(batch, &mut call)?;
        bytes += results.iter().flatten().map(HostBytes::host_bytes).sum::<usize>();
        outcomes.extend(results);
        if bytes >= RESULT_BYTES_MAX {
            break;
        }
    }
    Ok(outcomes)
}

fn one_batch<I, O>(
    batch: &[I],
    call: &mut impl FnMut(&[I]) -> Result<Vec<Outcome<O>>, Fault>,
) -> Result<Vec<Outcome<O>>, Fault> {
    // A batch of one has been tried alone already.
    let attempts = ATTEMPTS_ALONE - usize::from(batch.len() == 1);
    let given_up = match call(batch) {
        // One of them, or one before, may have spoilt the instance for the others.
        Ok(together) if has_fatal(&together) => together.into_iter().filter_map(Result::err).find(is_fatal),
        Ok(together) => return Ok(together),
        Err(fault) if fault.kind == FaultKind::Rebuild => return Err(fault),
        Err(fault) => Some(Rejection::Fault(fault)),
    };
    let given_up = given_up.unwrap_or_else(|| Rejection::Fault(no_result()));
    batch.chunks(1).map(|input| alone(input, attempts, given_up.clone(), call)).collect()
}

/// What becomes of an input in at most so many attempts; each has a new instance after the one before failed.
fn alone<I, O>(
    input: &[I],
    attempts: usize,
    given_up: Rejection,
    call: &mut impl FnMut(&[I]) -> Result<Vec<Outcome<O>>, Fault>,
) -> Result<Outcome<O>, Fault> {
    let mut last = given_up;
    for _ in 0..attempts {
        match call(input).map(|mut outcomes| outcomes.pop()) {
            Ok(Some(Err(fatal @ Rejection::Fatal { .. }))) => last = fatal,
            Ok(Some(outcome)) => return Ok(outcome),
            Ok(None) => last = Rejection::Fault(no_result()),
            Err(fault) if fault.kind == FaultKind::Rebuild => return Err(fault),
            Err(fault) => last = Rejection::Fault(fault),
        }
    }
    Ok(Err(last))
}

fn no_result() -> Fault {
    Fault::new(FaultKind::Count, "no result for one input")
}

/// Whether the module said of one of these that it cannot continue.
pub(crate) fn has_fatal<O>(outcomes: &[Outcome<O>]) -> bool {
    outcomes.iter().any(|outcome| outcome.as_ref().err().is_some_and(is_fatal))
}

fn is_fatal(rejection: &Rejection) -> bool {
    matches!(rejection, Rejection::Fatal { .. })
}

/// The fault of a call that gave another number of results than inputs.
pub(crate) fn check_count(results: usize, inputs: usize) -> Result<(), Fault> {
    if results == inputs {
        return Ok(());
    }
    Err(Fault::new(FaultKind::Count, format!("returned {results} results for {inputs} inputs")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRAP: FaultKind = FaultKind::Trap;

    impl HostBytes for u32 {
        fn host_bytes(&self) -> usize {
            *self as usize
        }
    }

    /// Doubles numbers; `fails` says how many more times a number makes its call trap.
    fn doubled(
        inputs: &[u32],
        size: usize,
        mut fails: Vec<(u32, usize)>,
    ) -> (Result<Vec<Outcome<u32>>, Fault>, Vec<usize>) {
        let mut calls = Vec::new();
        let result = run(inputs, size, |batch| {
            calls.push(batch.len());
            for (number, left) in &mut fails {
                if batch.contains(number) && *left > 0 {
                    *left -= 1;
                    return Err(Fault::new(TRAP, number.to_string()));
                }
            }
            Ok(batch.iter().map(|number| Ok(number * 2)).collect())
        });
        (result, calls)
    }

    #[test]
    fn one_bad_record_loses_itself_alone() {
        let (result, calls) = doubled(&[1, 2, 3, 4, 5], 4, vec![(2, usize::MAX)]);
        let fault = Rejection::Fault(Fault::new(TRAP, "2"));
        assert_eq!(result.unwrap(), [Ok(2), Err(fault), Ok(6), Ok(8), Ok(10)]);
        assert_eq!(calls, [4, 1, 1, 1, 1, 1, 1], "the batch, each alone, the bad one twice, the next batch");
    }

    #[test]
    fn a_record_that_fails_alone_only_once_is_not_lost() {
        assert_eq!(doubled(&[1, 2], 2, vec![(2, 2)]).0.unwrap(), [Ok(2), Ok(4)]);
        assert_eq!(doubled(&[1], 2, vec![(1, 1)]).0.unwrap(), [Ok(2)]);
        let (lost, calls) = doubled(&[1], 2, vec![(1, 2)]);
        assert!(matches!(lost.unwrap().as_slice(), [Err(Rejection::Fault(_))]));
        assert_eq!(calls, [1, 1]);
    }

    #[test]
    fn an_instance_that_cannot_be_made_ends_it() {
        let gone = || Fault::new(FaultKind::Rebuild, "gone");
        assert_eq!(run(&[1, 2], 2, |_: &[u32]| Err::<Vec<Outcome<u32>>, _>(gone())), Err(gone()));
        let mut calls = 0;
        let later = run(&[1, 2], 2, |_: &[u32]| {
            calls += 1;
            Err::<Vec<Outcome<u32>>, _>(if calls == 1 { Fault::new(TRAP, "") } else { gone() })
        });
        assert_eq!(later, Err(gone()));
    }

    #[test]
    fn a_batch_with_large_results_ends_after_the_call_that_made_them() {
        let quarter = u32::try_from(RESULT_BYTES_MAX / 8).unwrap();
        let (result, calls) = doubled(&[quarter; 10], 2, Vec::new());
        assert_eq!((result.unwrap().len(), calls), (4, vec![2, 2]), "twice two results of a quarter each");
        let (result, _) = doubled(&[quarter * 40, 1], 1, Vec::new());
        assert_eq!(result.unwrap().len(), 1, "at least one");
    }

    #[test]
    fn a_slow_module_gets_small_batches() {
        assert_eq!((size(1), size(250), size(60_000), size(0)), (64, 8, 1, 64));
    }
}
