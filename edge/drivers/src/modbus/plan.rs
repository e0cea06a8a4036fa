//! Few requests for many points: points of one cycle and table whose registers touch are read together.

use std::collections::BTreeMap;
use std::time::Duration;

use super::config::{Point, Table};

/// One read request and the points it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub table: Table,
    pub start: u16,
    pub count: u16,
    /// Indexes into the slave's points.
    pub points: Vec<usize>,
}

/// The reads of every cycle, shortest cycle first.
pub(crate) fn plan(points: &[Point]) -> Vec<(Duration, Vec<Read>)> {
    let mut cycles: BTreeMap<Duration, Vec<usize>> = BTreeMap::new();
    for (index, point) in points.iter().enumerate() {
        cycles.entry(point.cycle).or_default().push(index);
    }
    cycles.into_iter().map(|(cycle, indexes)| (cycle, merge(points, indexes))).collect()
}

fn merge(points: &[Point], mut indexes: Vec<usize>) -> Vec<Read> {
    indexes.sort_by_key(|index| (points[*index].table, points[*index].offset));
    let mut reads: Vec<Read> = Vec::new();
    for index in indexes {
        let point = &points[index];
        // Offsets and limits were checked to stay within 65,536 entries.
        let end = u32::from(point.offset) + u32::from(point.limit);
        if let Some(read) = reads.last_mut() {
            let read_end = u32::from(read.start) + u32::from(read.count);
            let count = end.max(read_end) - u32::from(read.start);
            let touches = read.table == point.table && u32::from(point.offset) <= read_end;
            if touches && count <= u32::from(point.table.request_limit()) {
                read.count = count as u16;
                read.points.push(index);
                continue;
            }
        }
        reads.push(Read { table: point.table, start: point.offset, count: point.limit, points: vec![index] });
    }
    reads
}

#[cfg(test)]
mod tests {
    use edgeward_twin::ValueType;
    use proptest::prelude::*;

    use super::*;

    fn point(table: Table, offset: u16, limit: u16, cycle_ms: u64) -> Point {
        Point {
            name: "p".into(),
            table,
            offset,
            limit,
            scale: 1.0,
            swap: false,
            register_swap: false,
            signed: false,
            value_type: ValueType::Int,
            desired: None,
            cycle: Duration::from_millis(cycle_ms),
            report_cycle: Duration::ZERO,
        }
    }

    #[test]
    fn touching_registers_share_a_request() {
        use Table::*;
        let check = |points: &[Point], expect: &[(Table, u16, u16)]| {
            let got: Vec<_> = plan(points)
                .into_iter()
                .flat_map(|(_, reads)| reads)
                .map(|read| (read.table, read.start, read.count))
                .collect();
            assert_eq!(got, expect);
        };
        check(&[point(HoldingRegister, 0, 2, 1), point(HoldingRegister, 2, 1, 1)], &[(HoldingRegister, 0, 3)]);
        check(&[point(HoldingRegister, 2, 1, 1), point(HoldingRegister, 0, 2, 1)], &[(HoldingRegister, 0, 3)]);
        check(&[point(HoldingRegister, 0, 4, 1), point(HoldingRegister, 1, 1, 1)], &[(HoldingRegister, 0, 4)]);
        check(
            &[point(HoldingRegister, 0, 1, 1), point(HoldingRegister, 2, 1, 1)],
            &[(HoldingRegister, 0, 1), (HoldingRegister, 2, 1)],
        );
        check(&[point(Coil, 0, 1, 1), point(InputRegister, 1, 1, 1)], &[(Coil, 0, 1), (InputRegister, 1, 1)]);
        check(&[point(Coil, 0, 1, 2), point(Coil, 1, 1, 1)], &[(Coil, 1, 1), (Coil, 0, 1)]);
        check(
            &[point(InputRegister, 0, 125, 1), point(InputRegister, 125, 1, 1)],
            &[(InputRegister, 0, 125), (InputRegister, 125, 1)],
        );
        check(&[point(InputRegister, 65535, 1, 1)], &[(InputRegister, 65535, 1)]);
    }

    proptest! {
        #[test]
        fn every_point_is_inside_exactly_one_read(spec in prop::collection::vec((0u16..300, 1u16..20), 0..40)) {
            let points: Vec<_> = spec.into_iter().map(|(offset, limit)| point(Table::InputRegister, offset, limit, 1)).collect();
            let mut seen = vec![0; points.len()];
            for read in plan(&points).into_iter().flat_map(|(_, reads)| reads) {
                prop_assert!(read.count <= 125);
                for index in read.points {
                    seen[index] += 1;
                    prop_assert!(points[index].offset >= read.start);
                    prop_assert!(points[index].offset + points[index].limit <= read.start + read.count);
                }
            }
            prop_assert!(seen.into_iter().all(|times| times == 1));
        }
    }
}
