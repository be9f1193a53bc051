"""JSON Schemas of what the program writes: plan files, shown plans and drift; data only.

plan-view.v1.schema.json is generated (scripts/view-schema).
"""
