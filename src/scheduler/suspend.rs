//! Hands the running coroutine over to whoever wants to suspend it, and gives
//! back the memory of its stack that it no longer uses.
//!
//! The one file of the scheduler with `unsafe`. A coroutine can only be
//! suspended through its `Yielder`, a reference that lives on its own stack.
//! Our transport is called by the TLS layer from deep inside that stack, where no
//! argument can carry the reference, so a thread-local pointer does.
//!
//! Why it is sound:
//! - `CURRENT` is set only from within the coroutine whose yielder it points
//!   to: at its first step, and again each time `suspend` returns.
//! - `suspend` takes it out before switching away, so while no coroutine runs,
//!   or another one does, it never points to a stack that is not running.
//! - When the closure ends, by return or by unwinding, a guard clears it before
//!   the stack is gone.
//! - `trim` gives back pages between the end of the running stack and a margin
//!   below the frame that calls it. A stack grows downwards, so nothing lives
//!   there but the frames of the system call itself, for which the margin is.
//! - A coroutine is neither `Send` nor moved between threads, and the pointer
//!   is thread-local: nobody else can see it.

#![expect(
    unsafe_code,
    reason = "the yielder cannot be passed through the frames of the TLS layer"
)]

use std::cell::Cell;
use std::io;
use std::ptr::NonNull;

use corosensei::stack::{DefaultStack, Stack as _};
use corosensei::{Coroutine, CoroutineResult, Yielder};

thread_local! {
    static CURRENT: Cell<Option<Current>> = const { Cell::new(None) };
}

/// The coroutine that is running.
#[derive(Clone, Copy)]
struct Current {
    yielder: NonNull<Yielder<(), ()>>,
    /// The lowest address of its stack, where the guard page is.
    #[cfg_attr(
        not(target_os = "linux"),
        expect(dead_code, reason = "memory of stacks is given back on Linux alone")
    )]
    stack_limit: usize,
}

/// A stack: address space with a guard page below it. Memory is used page by
/// page as it grows.
pub(super) struct Stack(DefaultStack);

impl Stack {
    /// A new one.
    ///
    /// # Errors
    /// When the system has no address space or no mappings left.
    pub(super) fn new(bytes: usize) -> io::Result<Self> {
        DefaultStack::new(bytes).map(Self)
    }
}

/// Straight-line code on a stack of its own.
pub(super) struct Task(Coroutine<(), (), ()>);

impl Task {
    /// A task that has not begun.
    pub(super) fn new(stack: Stack, body: impl FnOnce() + 'static) -> Self {
        let stack_limit = stack.0.limit().get();
        Self(Coroutine::with_stack(stack.0, move |yielder, ()| {
            struct Clear;
            impl Drop for Clear {
                fn drop(&mut self) {
                    CURRENT.set(None);
                }
            }
            let _clear = Clear;
            CURRENT.set(Some(Current {
                yielder: NonNull::from(yielder),
                stack_limit,
            }));
            body();
        }))
    }

    /// The stack of a task that has ended.
    pub(super) fn into_stack(self) -> Option<Stack> {
        self.0.done().then(|| Stack(self.0.into_stack()))
    }

    /// Runs it until it suspends or ends; true when it has ended.
    ///
    /// # Panics
    /// Passes on a panic of the task.
    pub(super) fn resume(&mut self) -> bool {
        matches!(self.0.resume(()), CoroutineResult::Return(()))
    }
}

/// Whether a task is running on this thread.
pub(super) fn is_in_task() -> bool {
    CURRENT.get().is_some()
}

/// Suspends the running task until it is resumed.
///
/// # Panics
/// Outside of a task, which is a fault of the program and not of any input.
pub(super) fn suspend() {
    let current = CURRENT
        .take()
        .expect("only code that runs inside a task may wait");
    // SAFETY: see the module header. The pointer was taken from the coroutine
    // that is running now, so its stack, on which the yielder lives, is alive.
    unsafe { current.yielder.as_ref() }.suspend(());
    CURRENT.set(Some(current));
}

/// Gives the memory of the running task's stack back to the system that lies
/// below the frames in use: what was deep once, such as the opening of a
/// session, is not paid for by a thousand tasks that wait. Does nothing outside
/// of a task or where the system refuses.
#[cfg(all(target_os = "linux", not(pmcp_portable)))]
#[inline(never)]
pub fn trim() {
    use nix::sys::mman::{MmapAdvise, madvise};
    /// For the frames of this call and of the system call.
    const MARGIN_BYTES: usize = 1024;
    let (Some(current), Some(page)) = (CURRENT.get(), page_bytes()) else {
        return;
    };
    let here = 0_u8;
    let from = current.stack_limit + page;
    let to = ((&raw const here).addr() - MARGIN_BYTES) & !(page - 1);
    let start = NonNull::new(std::ptr::with_exposed_provenance_mut(from));
    if let (Some(start), Some(n_bytes)) = (start, to.checked_sub(from)) {
        // SAFETY: see the module header. The range is page-aligned, inside the
        // mapping of the running stack, and below every live frame.
        unsafe { madvise(start, n_bytes, MmapAdvise::MADV_DONTNEED) }.ok();
    }
}

#[cfg(all(target_os = "linux", not(pmcp_portable)))]
fn page_bytes() -> Option<usize> {
    use nix::unistd::{SysconfVar, sysconf};
    let bytes = sysconf(SysconfVar::PAGE_SIZE).ok()??;
    usize::try_from(bytes)
        .ok()
        .filter(|bytes| bytes.is_power_of_two())
}

/// Elsewhere the memory stays where it is.
#[cfg(not(all(target_os = "linux", not(pmcp_portable))))]
pub fn trim() {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::rc::Rc;

    fn stack() -> Stack {
        Stack::new(64 * 1024).expect("a stack")
    }

    #[test]
    fn tasks_take_turns_on_their_own_stacks() {
        let order = Rc::new(RefCell::new(Vec::new()));
        let task = |name: &'static str| {
            let order = Rc::clone(&order);
            Task::new(stack(), move || {
                for step in 0..2 {
                    order.borrow_mut().push((name, step));
                    suspend();
                }
            })
        };
        let (mut a, mut b) = (task("a"), task("b"));
        while !a.resume() {
            assert!(!is_in_task());
            b.resume();
        }
        assert_eq!(*order.borrow(), [("a", 0), ("b", 0), ("a", 1), ("b", 1)]);
    }

    #[test]
    fn a_panic_reaches_the_resumer_and_leaves_no_current_task() {
        let mut task = Task::new(stack(), || panic!("on purpose"));
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| task.resume()));
        assert!(caught.is_err());
        assert!(!is_in_task());
    }

    #[test]
    fn a_suspended_task_can_be_dropped() {
        let kept = Rc::new(());
        let inside = Rc::clone(&kept);
        let mut task = Task::new(stack(), move || {
            let _inside = inside;
            suspend();
        });
        assert!(!task.resume());
        drop(task);
        assert_eq!(Rc::strong_count(&kept), 1);
        assert!(!is_in_task());
    }

    #[test]
    fn a_trimmed_stack_is_used_again() {
        /// Deeper than a page, and checked.
        #[inline(never)]
        fn deep(depth: u64) -> u64 {
            let filled = std::hint::black_box([depth; 64]);
            match depth {
                0 => 0,
                _ => filled[63] + deep(depth - 1),
            }
        }
        let sums = Rc::new(RefCell::new(Vec::new()));
        let seen = Rc::clone(&sums);
        let mut task = Task::new(stack(), move || {
            let kept = std::hint::black_box([7_u8; 512]);
            for _ in 0..3 {
                seen.borrow_mut().push(deep(50));
                trim();
                suspend();
            }
            assert_eq!(kept, [7; 512]);
        });
        while !task.resume() {}
        assert_eq!(*sums.borrow(), [1275, 1275, 1275]);
        // Outside of a task there is nothing to give back.
        trim();
    }
}
