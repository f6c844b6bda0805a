"""Expand a SAM template as CloudFormation does, and print the result as JSON.

Usage: translate.py template.yaml [Name=Value ...]

It needs the package aws-sam-translator, and neither network nor credentials.
"""

import json
import os
import re
import sys

os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")

from samtranslator.parser.parser import Parser
from samtranslator.public.translator import ManagedPolicyLoader
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse


def main(path, overrides):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    # The translator expects code that was uploaded, as after sam build and sam
    # deploy.
    template = yaml_parse(re.sub(r"(?m)^(\s*)CodeUri: .*$", r"\1CodeUri: s3://bucket/key", text))
    policies = ManagedPolicyLoader(None)
    policies._policy_map = {}  # otherwise it would ask IAM for them
    translated = Translator(policies.load(), Parser()).translate(template, overrides)
    json.dump(translated, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], dict(pair.split("=", 1) for pair in sys.argv[2:]))
