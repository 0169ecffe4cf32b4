"""What a manifest says of the calibration that decided the masks."""

import pytest

from clada_neuro.artifacts import package_data
from clada_neuro.policies.artifact import read_calibration
from clada_neuro.records.manifest import CalibrationFile
from clada_neuro.scale.setting import Setting
from clada_neuro.study.record import calibration_of

(SHIPPED,) = (one for one in package_data("calibration").glob("*.safetensors") if ".all" not in one.suffixes)


@pytest.mark.parametrize("policy", ["clada", "teal", "scap", "attribution"])
def test_tables_that_were_added_later_have_their_own_hash(policy: str) -> None:
    found = calibration_of(SHIPPED.stem, Setting(policy=policy))
    calibration = read_calibration(SHIPPED)
    expected = calibration.added.get(policy)
    assert (expected is not None) == (policy in ("scap", "attribution"))
    assert CalibrationFile(**found) == CalibrationFile(
        file=SHIPPED.name, hash=calibration.identity, added=expected
    )


def test_what_needs_no_calibration_has_none() -> None:
    assert calibration_of(SHIPPED.stem, Setting(policy="griffin")) is None
