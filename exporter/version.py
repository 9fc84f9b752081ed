"""The version that files are stamped with; a test holds it equal to the package's."""

VERSION = "0.1.0"
