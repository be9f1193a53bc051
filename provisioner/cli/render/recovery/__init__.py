"""Recovery plans as they would be carried out, and reports of how they were: text, JSON, Markdown
and pages. Used by the commands of ``dr``.
"""
