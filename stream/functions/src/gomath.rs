//! Elementary functions with Go's last digit.
//!
//! Go's `math` package does not call the C library: sines, tangents and their inverses are Cephes', logarithms FreeBSD's, powers are
//! repeated squaring. Results differ from the C library's in the last digit often enough to be seen in printed rows
//! (powers are where it shows first), so the same methods are used here. `exp` is a Taylor series as in Go's amd64 assembly.

// The coefficients stand as their authors published them.
#![allow(clippy::excessive_precision)]

mod trig;

use std::f64::consts::{LOG2_E, LOG10_2, SQRT_2};

pub(crate) use trig::{acos, asin, atan, atan2, cos, sin, tan};

/// Evaluates a polynomial; coefficients from the highest power down.
fn polynomial(x: f64, coefficients: &[f64]) -> f64 {
    coefficients.iter().fold(0.0, |sum, coefficient| sum * x + coefficient)
}

/// Hyperbolic sine.
pub(crate) fn sinh(x: f64) -> f64 {
    let z = x.abs();
    let y = if z > 21.0 {
        exp(z) * 0.5
    } else if z > 0.5 {
        let e = exp(z);
        (e - 1.0 / e) * 0.5
    } else {
        let above = [
            -0.263_056_321_339_749_706_281_948_9e+2,
            -0.289_421_135_598_956_380_728_466_036_6e+4,
            -0.899_127_202_203_950_935_539_801_351_1e+5,
            -0.630_767_364_049_771_699_118_478_725_1e+6,
        ];
        let below = [
            1.0,
            -0.173_678_953_558_233_699_533_450_911e+3,
            0.152_151_737_879_001_907_069_648_517_6e+5,
            -0.630_767_364_049_771_699_121_207_727_7e+6,
        ];
        let zz = z * z;
        polynomial(zz, &above) * z / polynomial(zz, &below)
    };
    y.copysign(x)
}

/// Hyperbolic cosine.
pub(crate) fn cosh(x: f64) -> f64 {
    let z = x.abs();
    if z > 21.0 {
        return exp(z) * 0.5;
    }
    let e = exp(z);
    (e + 1.0 / e) * 0.5
}

/// Hyperbolic tangent.
pub(crate) fn tanh(x: f64) -> f64 {
    let z = x.abs();
    if z > 0.5 * 8.8029691931113054295988e+01 {
        return 1f64.copysign(x);
    }
    if z >= 0.625 {
        let y = 1.0 - 2.0 / (exp(2.0 * z) + 1.0);
        return y.copysign(x);
    }
    if x == 0.0 || x.is_nan() {
        return x;
    }
    let s = x * x;
    let above = polynomial(s, &[-9.64399179425052238628e-1, -9.92877231001918586564e1, -1.61468768441708447952e3]);
    let below = polynomial(s, &[1.0, 1.12811678491632931402e2, 2.23548839060100448583e3, 4.84406305325125486048e3]);
    x + x * s * above / below
}

/// e to the power of x.
pub(crate) fn exp(x: f64) -> f64 {
    if !(-708.0..709.0).contains(&x) {
        return x.exp();
    }
    const UPPER: f64 = 0.69314718055966295651;
    const LOWER: f64 = 0.28235290563031577122e-12;
    let halves = (x * LOG2_E).round_ties_even();
    // A sixteenth of the rest makes a short series enough; squaring four times undoes it.
    let rest = (-halves).mul_add(LOWER, (-halves).mul_add(UPPER, x)) * 0.0625;
    const SERIES: [f64; 8] = [
        2.4801587301587301587e-5,
        1.9841269841269841270e-4,
        1.3888888888888888889e-3,
        8.3333333333333333333e-3,
        4.1666666666666666667e-2,
        1.6666666666666666667e-1,
        0.5,
        1.0,
    ];
    let mut less_one = SERIES[1..].iter().fold(SERIES[0], |sum, term| sum.mul_add(rest, *term)) * rest;
    for _ in 0..3 {
        less_one *= less_one + 2.0;
    }
    // The last squaring adds the one.
    less_one = (less_one + 2.0).mul_add(less_one, 1.0);
    less_one * 2f64.powi(halves as i32)
}

/// Mantissa in 0.5 .. 1 and exponent of a positive, finite number.
fn split(x: f64) -> (f64, i32) {
    let (x, extra) = if x < f64::MIN_POSITIVE { (x * (1u64 << 52) as f64, -52) } else { (x, 0) };
    let bits = x.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i32 - 1022;
    (f64::from_bits((bits & !(0x7ff << 52)) | (1022 << 52)), exponent + extra)
}

/// Natural logarithm; NaN below 0.
pub(crate) fn log(x: f64) -> f64 {
    if !(x > 0.0 && x.is_finite()) {
        return x.ln();
    }
    const LN2_HIGH: f64 = 6.93147180369123816490e-01;
    const LN2_LOW: f64 = 1.90821492927058770002e-10;
    let (mut fraction, mut exponent) = split(x);
    if fraction < SQRT_2 / 2.0 {
        fraction *= 2.0;
        exponent -= 1;
    }
    let f = fraction - 1.0;
    let k = f64::from(exponent);
    let s = f / (2.0 + f);
    let s2 = s * s;
    let s4 = s2 * s2;
    let odd = s2
        * polynomial(
            s4,
            &[1.479819860511658591e-01, 1.818357216161805012e-01, 2.857142874366239149e-01, 6.666666666666735130e-01],
        );
    let even = s4 * polynomial(s4, &[1.531383769920937332e-01, 2.222219843214978396e-01, 3.999999999940941908e-01]);
    let half_square = 0.5 * f * f;
    k * LN2_HIGH - ((half_square - (s * (half_square + (odd + even)) + k * LN2_LOW)) - f)
}

fn log2(x: f64) -> f64 {
    if !(x > 0.0 && x.is_finite()) {
        return x.log2();
    }
    let (fraction, exponent) = split(x);
    // Powers of two are exact.
    if fraction == 0.5 {
        return f64::from(exponent - 1);
    }
    log(fraction) * LOG2_E + f64::from(exponent)
}

/// Logarithm to base 10; NaN below 0.
pub(crate) fn log10(x: f64) -> f64 {
    log2(x) * LOG10_2
}

/// x to the power of y: repeated squaring for the whole part of y, `exp` and `log` for the rest.
pub(crate) fn pow(x: f64, y: f64) -> f64 {
    let special = x == 0.0 || x == 1.0 || y == 0.0 || !x.is_finite() || !y.is_finite();
    if special || y.abs() >= 9.223_372_036_854_775e18 || (x < 0.0 && y.fract() != 0.0) {
        return x.powf(y);
    }
    if y == 1.0 {
        return x;
    }
    if y.abs() == 0.5 {
        return if y > 0.0 { x.sqrt() } else { 1.0 / x.sqrt() };
    }
    let (mut whole, mut fraction) = (y.abs().trunc(), y.abs().fract());
    let mut result = 1.0;
    if fraction != 0.0 {
        if fraction > 0.5 {
            fraction -= 1.0;
            whole += 1.0;
        }
        result = exp(fraction * log(x));
    }
    let (magnitude, mut exponent) = split(x.abs());
    let mut base = magnitude.copysign(x);
    let (mut scale, mut left) = (0i64, whole as i64);
    let mut step = i64::from(exponent);
    while left != 0 {
        if !(-(1 << 12)..1 << 12).contains(&step) {
            // Overflow or underflow, and only the sign of the exponent matters any more.
            scale += step;
            break;
        }
        if left & 1 == 1 {
            result *= base;
            scale += step;
        }
        base *= base;
        step <<= 1;
        if base < 0.5 {
            base += base;
            step -= 1;
        }
        left >>= 1;
    }
    if y < 0.0 {
        result = 1.0 / result;
        scale = -scale;
    }
    exponent = i32::try_from(scale.clamp(-5000, 5000)).unwrap_or(0);
    scaled(result, exponent)
}

/// `x * 2^exponent`, through subnormal and overflowing results with one rounding.
fn scaled(x: f64, exponent: i32) -> f64 {
    let (half, rest) = (exponent / 2, exponent - exponent / 2);
    if (-1000..=1000).contains(&exponent) { x * 2f64.powi(exponent) } else { x * 2f64.powi(half) * 2f64.powi(rest) }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::{E, FRAC_PI_2, FRAC_PI_4, LN_10};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_results_of_go() {
        for (got, expect) in [
            (log10(1000.0), 3.0),
            (log(1000.0) / log(10.0), 2.9999999999999996),
            (log10(100.0), 2.0),
            (log10(2.0), LOG10_2),
            (log(10.0), LN_10),
            (exp(1.0), E),
            (pow(2.0, 10.0), 1024.0),
            (pow(10.0, -2.0), 0.01),
            (pow(-2.0, 3.0), -8.0),
            (pow(2.0, 0.5), SQRT_2),
            (pow(10.0, 308.0), 1.0000000000000006e308),
            (pow(10.0, 309.0), f64::INFINITY),
            (pow(2.0, -1074.0), 5e-324),
            (sin(1.0), 0.8414709848078965),
            (cos(1.0), 0.5403023058681398),
            (atan(1.0), FRAC_PI_4),
            (acos(0.0), FRAC_PI_2),
        ] {
            assert_eq!(got, expect);
        }
        assert!(acos(2.0).is_nan() && asin(-2.0).is_nan() && log(-1.0).is_nan());
    }

    /// Within two units of the last place of the C library's result.
    fn close(name: &str, got: f64, library: f64) -> Result<(), TestCaseError> {
        let tolerance = 2.5 * (library.abs().next_up() - library.abs()).max(f64::MIN_POSITIVE * f64::EPSILON);
        let same = got == library || (got.is_nan() && library.is_nan()) || (got - library).abs() <= tolerance;
        prop_assert!(same, "{}: {:e} is not {:e}", name, got, library);
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn results_are_right(x in -50.0..50.0f64, unit in -1.0..1.0f64, positive in 0.001..1e6f64) {
            close("exp", exp(x), x.exp())?;
            close("log", log(positive), positive.ln())?;
            prop_assert!((asin(unit) - unit.asin()).abs() < 1e-8, "asin {}", unit);
            close("atan", atan(x), x.atan())?;
            close("atan2", atan2(x, unit), x.atan2(unit))?;
            close("cosh", cosh(x), x.cosh())?;
            close("tanh", tanh(x), x.tanh())?;
            // The difference of two powers, whose last digits count more the nearer they are.
            prop_assert!((sinh(x) - x.sinh()).abs() <= 4.0 * f64::EPSILON * x.cosh(), "sinh {}", x);
            // Near their zeros only the distance counts.
            prop_assert!((sin(x) - x.sin()).abs() < 3e-16, "sin {}", x);
            prop_assert!((cos(x) - x.cos()).abs() < 3e-16, "cos {}", x);
            prop_assert!((log10(positive) - positive.log10()).abs() < 2e-15, "log10 {}", positive);
            prop_assert!((tan(unit) - unit.tan()).abs() < 1e-15, "tan {}", unit);
            let power = pow(positive, unit * 8.0);
            prop_assert!((power / positive.powf(unit * 8.0) - 1.0).abs() < 1e-14, "{} ^ {}", positive, unit * 8.0);
        }
    }
}
