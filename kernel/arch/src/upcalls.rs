//! What the entry code calls in the layers above.

use crate::trap::TrapFrame;

/// The kernel as the entry code sees it; [`upcalls!`](crate::upcalls) says which type it is.
pub trait Upcalls {
    /// Every exception and interrupt. Runs with interrupts off, on the thread's kernel stack except
    /// for NMI, double fault and machine check.
    fn trap(frame: &mut TrapFrame);

    /// A trap found no room on the kernel stack. Runs on the interrupt stack.
    fn stack_overflow(frame: &TrapFrame) -> !;

    /// The first thing on a new thread's stack, on the way to the application, whose registers
    /// `frame` holds. Interrupts are off before and after.
    fn first_switch(frame: &mut TrapFrame);

    /// The first thing on the stack of a new thread of the kernel.
    fn first_switch_kernel();

    /// The first thing of a further CPU, on the stack that it was given, with interrupts off.
    fn cpu_started(index: u32) -> !;
}

/// Makes a type that implements [`Upcalls`] the one whose functions the entry code calls. Once in a
/// kernel.
#[macro_export]
macro_rules! upcalls {
    ($kernel:ty) => {
        const _: () = {
            use $crate::trap::TrapFrame;
            use $crate::upcalls::Upcalls;

            #[unsafe(no_mangle)]
            extern "C" fn upcall_trap(frame: &mut TrapFrame) {
                <$kernel as Upcalls>::trap(frame)
            }
            #[unsafe(no_mangle)]
            extern "C" fn upcall_stack_overflow(frame: &TrapFrame) -> ! {
                <$kernel as Upcalls>::stack_overflow(frame)
            }
            #[unsafe(no_mangle)]
            extern "C" fn upcall_first_switch(frame: &mut TrapFrame) {
                <$kernel as Upcalls>::first_switch(frame)
            }
            #[unsafe(no_mangle)]
            extern "C" fn upcall_first_switch_kernel() {
                <$kernel as Upcalls>::first_switch_kernel()
            }
            #[unsafe(no_mangle)]
            extern "C" fn ap_main(index: u32) -> ! {
                <$kernel as Upcalls>::cpu_started(index)
            }
        };
    };
}

unsafe extern "C" {
    pub(crate) fn upcall_trap(frame: &mut TrapFrame);
    pub(crate) fn upcall_stack_overflow(frame: &TrapFrame) -> !;
    pub(crate) fn upcall_first_switch(frame: &mut TrapFrame);
    pub(crate) fn upcall_first_switch_kernel();
}
