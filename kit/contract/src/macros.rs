//! `contract!` and `exercise!`: the two macros of the seam.

/// Declares the trait of one exercise and derives both ends of its wire.
///
/// All methods take `&self` (functions, reconcilers) or all take `&mut self` (state machines); arguments
/// are references or small values, answers are owned. `fn new(config: &Config) -> Self;` may come first;
/// without it a module is made with `Default`.
///
/// Argument types need `Serialize`, `DeserializeOwned` and [`Show`](crate::Show), and so do answers.
macro_rules! contract {
    ($(#[$meta:meta])* pub trait $Trait:ident {
        $(#[$new_meta:meta])* fn new($config:ident: &$Config:ty) -> Self;
        $($methods:tt)+
    }) => {
        contract!(@receiver [$(#[$meta])* $Trait] [$Config, {
            $(#[$new_meta])* fn new($config: &$Config) -> Self where Self: Sized;
        }, ["config"]] $($methods)+);
        impl<M: $Trait + 'static> $crate::Make<dyn $Trait> for M {
            fn make(config: &$Config) -> Box<dyn $Trait> { Box::new(M::new(config)) }
        }
    };
    ($(#[$meta:meta])* pub trait $Trait:ident { $($methods:tt)+ }) => {
        contract!(@receiver [$(#[$meta])* $Trait] [(), {}, []] $($methods)+);
        impl<M: $Trait + Default + 'static> $crate::Make<dyn $Trait> for M {
            fn make(_: &()) -> Box<dyn $Trait> { Box::new(M::default()) }
        }
    };
    (@receiver [$($head:tt)*] [$($new:tt)*] $(
        $(#[$meta:meta])* fn $call:ident(&self $(, $arg:ident: $ty:ty)* $(,)?) -> $Answer:ty;
    )+) => {
        contract!(@derive [$($head)*] [$($new)*] $(
            [$(#[$meta])*] $call [&self] self [$($arg: $ty),*] [$Answer];
        )+);
    };
    (@receiver [$($head:tt)*] [$($new:tt)*] $(
        $(#[$meta:meta])* fn $call:ident(&mut self $(, $arg:ident: $ty:ty)* $(,)?) -> $Answer:ty;
    )+) => {
        contract!(@derive [$($head)*] [$($new)*] $(
            [$(#[$meta])*] $call [&mut self] self [$($arg: $ty),*] [$Answer];
        )+);
    };
    (@derive [$(#[$meta:meta])* $Trait:ident] [$Config:ty, {$($new:tt)*}, [$($config_arg:literal)?]] $(
        [$(#[$call_meta:meta])*] $call:ident [$($receiver:tt)*] $self:ident [$($arg:ident: $ty:ty),*] [$Answer:ty];
    )+) => {
        $(#[$meta])*
        pub trait $Trait {
            $($new)*
            $($(#[$call_meta])* fn $call($($receiver)* $(, $arg: $ty)*) -> $Answer;)+
        }

        const _: () = {
            use $crate::__private::{Argument, argument, encode, serde_json};

            struct Remote($crate::remote::Link);

            impl $Trait for Remote {
                contract!(@no_new [$($config_arg)?] $Config);
                $(fn $call($($receiver)* $(, $arg: $ty)*) -> $Answer {
                    $self.0.ask(stringify!($call), &encode(&[$((stringify!($arg), &$arg)),*]))
                })+
            }

            impl $crate::Contract for dyn $Trait {
                type Config = $Config;
                const MODULE: &'static str = module_path!();
                const CALLS: &'static [&'static str] = &[$(stringify!($call)),+];

                fn dispatch(module: &mut Self, call: &str, args: &$crate::Args<'_>) -> Result<String, String> {
                    match call {
                        $(stringify!($call) => {
                            $(let $arg: <$ty as Argument>::Owned = argument(args, call, stringify!($arg))?;)*
                            let answer: $Answer = module.$call($(<$ty as Argument>::lend(&$arg)),*);
                            serde_json::to_string(&answer).map_err(|e| e.to_string())
                        })+
                        _ => Err(format!("there is no call `{call}`; this contract has: {}", Self::CALLS.join(", "))),
                    }
                }

                #[allow(unused_variables)]
                fn remote(link: $crate::remote::Link, config: &$Config) -> Box<Self> {
                    link.start(&encode(&[$(($config_arg, &config))?]));
                    Box::new(Remote(link))
                }

                #[allow(unused_variables)]
                fn config(args: &$crate::Args<'_>) -> Result<Box<$Config>, String> {
                    contract!(@config [$($config_arg)?] args $Config)
                }

                fn show_answer(call: &str, answer: &str) -> Result<Vec<String>, String> {
                    match call {
                        $(stringify!($call) => serde_json::from_str::<$Answer>(answer)
                            .map(|answer| $crate::Show::lines(&answer))
                            .map_err(|e| e.to_string()),)+
                        _ => Err(format!("there is no call `{call}`; this contract has: {}", Self::CALLS.join(", "))),
                    }
                }

                fn same(call: &str, one: &str, other: &str) -> Result<bool, String> {
                    match call {
                        $(stringify!($call) => {
                            let meaning = |json| serde_json::from_str::<$Answer>(json)
                                .map(|answer| $crate::Show::meaning(&answer))
                                .map_err(|e| e.to_string());
                            Ok(one == other || meaning(one)? == meaning(other)?)
                        })+
                        _ => Err(format!("there is no call `{call}`; this contract has: {}", Self::CALLS.join(", "))),
                    }
                }

                fn show_args(call: &str, args: &$crate::Args<'_>) -> Result<Vec<(&'static str, Vec<String>)>, String> {
                    match call {
                        $(stringify!($call) => Ok(vec![$({
                            let $arg: <$ty as Argument>::Owned = argument(args, call, stringify!($arg))?;
                            (stringify!($arg), $crate::Show::lines(&$arg))
                        }),*]),)+
                        _ => Err(format!("there is no call `{call}`; this contract has: {}", Self::CALLS.join(", "))),
                    }
                }
            }
        };
    };
    (@no_new [] $Config:ty) => {};
    (@no_new [$config:literal] $Config:ty) => {
        fn new(_: &$Config) -> Self {
            unreachable!("a remote is made by Contract::remote")
        }
    };
    (@config [] $args:ident $Config:ty) => { Ok(Box::new(())) };
    (@config [$config:literal] $args:ident $Config:ty) => {
        argument::<$Config>($args, "new", $config).map(Box::new)
    };
}

/// The learner's last line: `kit::exercise!(Exercise: Taints);` makes the file a worker that the grader can ask.
#[macro_export]
macro_rules! exercise {
    ($Module:ty: $Trait:path) => {
        // The author's gate compiles many modules into one program, whose own `main` calls this one.
        pub(crate) fn main() -> std::process::ExitCode {
            $crate::worker::run::<dyn $Trait>(<$Module as $crate::Make<dyn $Trait>>::make)
        }
    };
}
