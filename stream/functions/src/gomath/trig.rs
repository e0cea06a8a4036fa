//! Angles: Cephes' sines and tangents, and their inverses.

use std::f64::consts::{FRAC_1_PI, FRAC_PI_2, FRAC_PI_4, PI};

use super::polynomial;

/// Pi/4 in three parts, for reducing an argument without losing digits.
const QUARTER: [f64; 3] = [7.85398125648498535156e-1, 3.77489470793079817668e-8, 2.69515142907905952645e-15];
/// Above this the three parts do not suffice and the library's own reduction is better.
const REDUCIBLE: f64 = (1u64 << 29) as f64;

/// The octant of a positive angle, made even, and the rest within it.
fn octant(x: f64) -> (u64, f64) {
    let mut octant = (x * (4.0 * FRAC_1_PI)) as u64;
    octant += octant & 1;
    let y = octant as f64;
    (octant & 7, ((x - y * QUARTER[0]) - y * QUARTER[1]) - y * QUARTER[2])
}

fn sine_part(z: f64) -> f64 {
    let zz = z * z;
    let tail = polynomial(
        zz,
        &[
            1.58962301576546568060e-10,
            -2.50507477628578072866e-8,
            2.75573136213857245213e-6,
            -1.98412698295895385996e-4,
            8.33333333332211858878e-3,
            -1.66666666666666307295e-1,
        ],
    );
    z + z * zz * tail
}

fn cosine_part(z: f64) -> f64 {
    let zz = z * z;
    let tail = polynomial(
        zz,
        &[
            -1.13585365213876817300e-11,
            2.08757008419747316778e-9,
            -2.75573141792967388112e-7,
            2.48015872888517045348e-5,
            -1.38888888888730564116e-3,
            4.16666666666665929218e-2,
        ],
    );
    1.0 - 0.5 * zz + zz * zz * tail
}

/// Sine.
pub(crate) fn sin(x: f64) -> f64 {
    if x == 0.0 || !x.is_finite() || x.abs() >= REDUCIBLE {
        return x.sin();
    }
    let (mut octant, z) = octant(x.abs());
    let mut negative = x < 0.0;
    if octant > 3 {
        negative = !negative;
        octant -= 4;
    }
    let y = if octant == 1 || octant == 2 { cosine_part(z) } else { sine_part(z) };
    if negative { -y } else { y }
}

/// Cosine.
pub(crate) fn cos(x: f64) -> f64 {
    if !x.is_finite() || x.abs() >= REDUCIBLE {
        return x.cos();
    }
    let (mut octant, z) = octant(x.abs());
    let mut negative = false;
    if octant > 3 {
        octant -= 4;
        negative = !negative;
    }
    if octant > 1 {
        negative = !negative;
    }
    let y = if octant == 1 || octant == 2 { sine_part(z) } else { cosine_part(z) };
    if negative { -y } else { y }
}

/// Tangent.
pub(crate) fn tan(x: f64) -> f64 {
    if x == 0.0 || !x.is_finite() || x.abs() >= REDUCIBLE {
        return x.tan();
    }
    let (octant, z) = octant(x.abs());
    let zz = z * z;
    let mut y = z;
    if zz > 1e-14 {
        let above = polynomial(zz, &[-1.30936939181383734205e4, 1.15351664838587416140e6, -1.79565251976484877988e7]);
        let below = polynomial(
            zz,
            &[
                1.0,
                1.36812963470692954678e4,
                -1.32089234440210967447e6,
                2.50083801823357915839e7,
                -5.38695755929454629881e7,
            ],
        );
        y = z + z * (zz * above / below);
    }
    if octant & 2 == 2 {
        y = -1.0 / y;
    }
    if x < 0.0 { -y } else { y }
}

/// Arc tangent within 0 .. 0.66.
fn small_atan(x: f64) -> f64 {
    let z = x * x;
    let above = polynomial(
        z,
        &[
            -8.750608600031904122785e-01,
            -1.615753718733365076637e+01,
            -7.500855792314704667340e+01,
            -1.228866684490136173410e+02,
            -6.485021904942025371773e+01,
        ],
    );
    let below = polynomial(
        z,
        &[
            1.0,
            2.485846490142306297962e+01,
            1.650270098316988542046e+02,
            4.328810604912902668951e+02,
            4.853903996359136964868e+02,
            1.945506571482613964425e+02,
        ],
    );
    x * (z * above / below) + x
}

/// Arc tangent of a positive number.
fn positive_atan(x: f64) -> f64 {
    /// What pi/2 lacks as a float.
    const MORE: f64 = 6.123233995736765886130e-17;
    const TAN_3_PI_8: f64 = 2.414_213_562_373_095;
    if x <= 0.66 {
        small_atan(x)
    } else if x > TAN_3_PI_8 {
        FRAC_PI_2 - small_atan(1.0 / x) + MORE
    } else {
        FRAC_PI_4 + small_atan((x - 1.0) / (x + 1.0)) + 0.5 * MORE
    }
}

/// Arc tangent.
pub(crate) fn atan(x: f64) -> f64 {
    if x == 0.0 {
        x
    } else if x > 0.0 {
        positive_atan(x)
    } else {
        -positive_atan(-x)
    }
}

/// Arc sine; NaN outside -1 .. 1.
pub(crate) fn asin(x: f64) -> f64 {
    let magnitude = x.abs();
    if x == 0.0 || x.is_nan() || magnitude > 1.0 {
        return if x == 0.0 { x } else { f64::NAN };
    }
    let other = (1.0 - magnitude * magnitude).sqrt();
    let y =
        if magnitude > 0.7 { FRAC_PI_2 - positive_atan(other / magnitude) } else { positive_atan(magnitude / other) };
    y.copysign(x)
}

/// Arc cosine; NaN outside -1 .. 1.
pub(crate) fn acos(x: f64) -> f64 {
    FRAC_PI_2 - asin(x)
}

/// The angle of the point (x, y).
pub(crate) fn atan2(y: f64, x: f64) -> f64 {
    if y == 0.0 || x == 0.0 || !y.is_finite() || !x.is_finite() {
        return y.atan2(x);
    }
    let angle = atan(y / x);
    match (x < 0.0, angle <= 0.0) {
        (true, true) => angle + PI,
        (true, false) => angle - PI,
        _ => angle,
    }
}
