"""Every method of the package keeps the contract of its family."""

from rarescene_plugin_example.sample import write_strips

from rarescene.testing import checks_of_package


@checks_of_package("rarescene-plugin-example", strips={"write": write_strips})
def test_contract(check):
    check()
