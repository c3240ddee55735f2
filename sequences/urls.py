"""Addresses of sequences, candidates and messages."""

from django.urls import include, path

from sequences.views import enrollments, messages, permissions, receipts, replies, sequences, steps, suppressions

app_name = "sequences"
urlpatterns = [
    path("", include("sequences.candidate_urls")),
    # Sent on behalf of others
    path("sent-by-others/", permissions.sent_by_others, name="sent_by_others"),
    path("first-emails/<int:pk>/", permissions.first_email, name="first_email"),
    path("first-emails/<int:pk>/answer/", permissions.answer_first_email, name="answer_first_email"),
    path("sequences/<int:pk>/hand-over/", permissions.hand_over, name="hand_over"),
    path("people/<int:user_pk>/sequences/", permissions.sequences_of, name="sequences_of"),
    path("receipts/", receipts.export_page, name="receipts"),
    path("receipts/export/", receipts.export, name="export_receipts"),
    # Sequences
    path("sequences/", sequences.list_page, name="list"),
    path("sequences/new/", sequences.new, name="new"),
    path("sequences/<int:pk>/", sequences.detail, name="detail"),
    path("sequences/<int:pk>/emails/", messages.emails_page, name="emails"),
    path("sequences/<int:pk>/dry-run/", sequences.dry_run, name="dry_run"),
    path("sequences/<int:pk>/continue/", enrollments.continue_held, name="continue_held"),
    path("sequences/<int:pk>/settings/", sequences.settings, name="settings"),
    path("sequences/<int:pk>/hours/", sequences.hours, name="hours"),
    path("sequences/<int:pk>/activate/", sequences.activate, name="activate"),
    path("sequences/<int:pk>/pause/", sequences.pause, name="pause"),
    path("sequences/<int:pk>/archive/", sequences.archive, name="archive"),
    path("sequences/<int:pk>/unarchive/", sequences.unarchive, name="unarchive"),
    path("sequences/<int:pk>/replies/", replies.sequence_replies, name="sequence_replies"),
    # Steps
    path("sequences/<int:pk>/steps/", steps.steps_page, name="steps"),
    path("sequences/<int:pk>/steps/new/", steps.new_step, name="new_step"),
    path("sequences/<int:pk>/steps/preview/", steps.preview_step, name="preview_step"),
    path("sequences/<int:pk>/steps/<int:step_pk>/", steps.edit_step, name="edit_step"),
    path("sequences/<int:pk>/steps/<int:step_pk>/move/", steps.move_step, name="move_step"),
    path("sequences/<int:pk>/steps/<int:step_pk>/delete/", steps.delete_step, name="delete_step"),
    # Enrollments and emails
    path("enrollments/<int:pk>/continue/", enrollments.continue_enrollment, name="continue_enrollment"),
    path("enrollments/<int:pk>/unenroll/", enrollments.unenroll, name="unenroll"),
    path("enrollments/<int:pk>/enroll-again/", enrollments.enroll_again, name="enroll_again"),
    path("emails/<int:pk>/", messages.message_page, name="message"),
    path("emails/<int:pk>/decide/", messages.decide, name="decide"),
    path("emails/<int:pk>/try-again/", messages.try_again, name="try_again"),
    # Do not contact
    path("do-not-contact/", suppressions.suppressions, name="suppressions"),
    path("do-not-contact/<int:pk>/remove/", suppressions.remove_suppression, name="remove_suppression"),
    # What came back
    path("replies/", replies.replies_page, name="replies"),
    path("replies/<int:pk>/correct/", replies.correct_reply, name="correct_reply"),
]
