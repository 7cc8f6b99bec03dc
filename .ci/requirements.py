"""Print the package's required dependencies, one a line, without the names given as arguments."""

import configparser
import re
import sys
from pathlib import Path

setup = configparser.ConfigParser()
setup.read(Path(__file__).parents[1] / "setup.cfg")
for line in setup["options"]["install_requires"].split():
    if re.split("[<>=!~;]", line)[0] not in sys.argv[1:]:
        print(line)
