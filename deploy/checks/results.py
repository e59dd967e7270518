"""What was checked, and what came of it."""


class Results:
    """Each check has a name and what was found wrong; the names of those that passed are only counted."""

    def __init__(self):
        self.passed = 0
        self.failed = 0

    def check(self, name, faults):
        if not faults:
            self.passed += 1
            return
        self.failed += 1
        print(f"not ok {name}")
        for fault in faults:
            print("    " + str(fault).strip().replace("\n", "\n    "))

    def close(self):
        print(f"{self.passed} passed, {self.failed} failed")
        return 1 if self.failed else 0
