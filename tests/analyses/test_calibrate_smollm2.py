"""What `analyses/01_calibrate_smollm2.py --added` says of the tables that ship is what the documentation says."""

from analysis_scripts import ANALYSES, load

from clada_neuro.artifacts import package_data
from clada_neuro.policies.artifact import read_calibration


def test_figures_of_added_tables_stand_in_the_documentation():
    (shipped,) = (
        one for one in package_data("calibration").glob("*.safetensors") if ".all" not in one.suffixes
    )
    found = load("01_calibrate_smollm2").added_facts(read_calibration(shipped))
    page = (ANALYSES.parent / "docs" / "results_runtime.md").read_text(encoding="utf-8")
    modes = f"(0 in {found['scap_modes_of_0']} of {found['scap_modes']} places, at most {found['scap_highest_mode']:.3f} elsewhere)"
    median, highest = found["attribution_median_tilt"], found["attribution_highest_tilt"]
    places = found["r_sparse_ranks"]
    without = places - found["r_sparse_ranks_above_0"]
    assert modes in page
    assert (
        f"in {without} of {places} places (at most {found['r_sparse_highest_rank']} directions elsewhere)"
        in page
    )
    assert f"(tilt of median size {median:.3f}, highest {highest:.2f})" in page
