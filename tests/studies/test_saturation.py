"""When a run counts as saturated."""

from energy_gan.studies.multigrid import saturation


def row(step, distance, gap=0.0):
    return {"step": step, "frechet_lenet": distance, "gap_finest": gap}


def test_a_run_has_saturated_where_it_gets_worse_and_stays_so():
    falling = [row(1, 500.0, gap=-9.0), row(2, 300.0), row(3, 100.0)]
    assert saturation(falling) == {"best_frechet": 100.0, "saturated": None}
    assert saturation([*falling, row(4, 210.0), row(5, 900.0)])["saturated"] == 4
    assert saturation([*falling, row(4, 210.0), row(5, 150.0)])["saturated"] is None
    assert saturation([*falling, {"step": 4}, row(5, 100.0, gap=-3.1)])["saturated"] == 5
